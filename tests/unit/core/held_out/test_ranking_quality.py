"""Figures of whole rankings against answers worked out by hand and slow definitions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_scorer.core.held_out.ranking_quality import (
    AcceptedPairs,
    coverage,
    quality_by_depth,
    ranking_quality,
    top_k,
)

CATALOG = 6


def pairs(*drawn: tuple[int, int]) -> AcceptedPairs:
    table = np.array(drawn, np.int64).reshape(-1, 2)
    return AcceptedPairs.of(table[:, 0], table[:, 1], catalog=CATALOG)


def test_figures_equal_those_worked_out_by_hand() -> None:
    found = ranking_quality(np.array([[4, 0, 2]]), pairs((0, 4), (0, 2), (0, 5)), catalog=CATALOG)
    assert found.recall[0] == pytest.approx(2 / 3)
    assert found.precision[0] == pytest.approx(2 / 3)
    assert found.ndcg[0] == pytest.approx((1 + 1 / 2) / (1 + 1 / np.log2(3) + 1 / 2))
    assert found.average_precision[0] == pytest.approx((1 + 2 / 3) / 3)


def test_more_relevant_offers_than_places_rank_perfectly() -> None:
    found = ranking_quality(np.array([[1, 2]]), pairs((0, 1), (0, 2), (0, 3)), catalog=CATALOG)
    assert (found.ndcg[0], found.average_precision[0], found.recall[0]) == (1.0, 1.0, pytest.approx(2 / 3))


@given(
    st.lists(st.permutations(range(CATALOG)), min_size=1, max_size=4),
    st.sets(st.tuples(st.integers(0, 3), st.integers(0, 5))),
)
def test_places_behind_the_cut_do_not_count(rankings: list[list[int]], drawn: set[tuple[int, int]]) -> None:
    relevant = pairs(*[(customer, row) for customer, row in drawn if customer < len(rankings)])
    recall, ndcg = quality_by_depth(np.array(rankings), relevant, catalog=CATALOG)
    for depth in range(1, CATALOG + 1):
        alone = ranking_quality(np.array(rankings)[:, :depth], relevant, catalog=CATALOG)
        assert recall[:, depth - 1] == pytest.approx(alone.recall)
        assert ndcg[:, depth - 1] == pytest.approx(alone.ndcg)


def test_customers_without_relevant_offers_do_not_count() -> None:
    found = ranking_quality(np.array([[1], [2], [3]]), pairs((1, 2)), catalog=CATALOG)
    assert found.recall.tolist() == [1.0]


def test_a_pair_counts_once() -> None:
    relevant = pairs((1, 1), (0, 1), (0, 1))
    assert list(zip(relevant.customer.tolist(), relevant.offer.tolist(), strict=True)) == [(0, 1), (1, 1)]


def test_the_relevant_of_some_offers() -> None:
    chosen = np.zeros(CATALOG, bool)
    chosen[3] = True
    assert pairs((0, 1), (0, 3), (1, 3)).of_offers(chosen).customer.tolist() == [0, 1]


@given(st.lists(st.lists(st.integers(-2, 2), min_size=5, max_size=5), min_size=1, max_size=4), st.integers(1, 7))
def test_best_come_first_and_ties_by_column(rows: list[list[int]], k: int) -> None:
    scores = np.array(rows, float)
    expected = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    ours = top_k(scores, k)
    assert np.array_equal(np.take_along_axis(scores, ours, 1), np.take_along_axis(scores, expected, 1))
    assert [len(set(row)) for row in ours.tolist()] == [min(k, 5)] * len(rows)


def test_coverage_is_the_share_of_offers_seen() -> None:
    assert coverage(np.array([[0, 1], [1, 0]]), catalog=4) == 0.5
