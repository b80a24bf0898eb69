import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_scorer.core.messages import CustomerRequest
from stream_scorer.core.ranking import best_offers as ranking
from stream_scorer.core.ranking.best_offers import Customers, Ranked, exact_scores, rank
from stream_scorer.core.ranking.eligibility import Candidates
from stream_scorer.core.releases.catalog import Catalog
from tests.ranking_worlds import best_offers, catalog_of, coarse_vectors, offer, request, unit_vectors


def ranked_offers(ranked: Ranked, catalog: Catalog, number: int = 0) -> list[str]:
    rows = ranked.rows[ranked.starts[number] : ranked.starts[number + 1]]
    return [catalog.offer_ids[row] for row in rows]


def assert_as_oracle(requests: list[CustomerRequest], customers: Customers, catalog: Catalog) -> None:
    ranked = rank(requests, customers, catalog)
    for number, one in enumerate(requests):
        candidates = catalog.offer_ids if one.offers is None else sorted(set(one.offer_ids))
        expected = best_offers(
            customers[number], catalog, [each for each in candidates if each not in one.exclude], one.limit
        )
        assert ranked_offers(ranked, catalog, number) == [offer_id for offer_id, _ in expected]
        scores = ranked.scores[ranked.starts[number] : ranked.starts[number + 1]]
        np.testing.assert_allclose(scores, [score for _, score in expected], rtol=0, atol=1e-15)


def test_offers_are_ranked_by_nearness() -> None:
    catalog = catalog_of(np.array([[-1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.6, 0.8]]))
    ranked = rank([request()], np.array([[1.0, 0.0]]), catalog)
    assert ranked_offers(ranked, catalog) == ["o000002", "o000003", "o000001", "o000000"]
    np.testing.assert_allclose(ranked.scores, [1, 0.6, 0, -1], atol=1e-7)


def test_lower_offer_ids_win_ties() -> None:
    catalog = catalog_of(np.tile([[0.6, 0.8]], (5_000, 1)))
    ranked = rank([request(limit=3), request(1, limit=1_000)], np.array([[1.0, 0.0], [0.0, 1.0]]), catalog)
    assert ranked_offers(ranked, catalog, 0) == ["o000000", "o000001", "o000002"]
    assert ranked_offers(ranked, catalog, 1) == catalog.offer_ids[:1_000]


def test_equal_scores_take_little_memory() -> None:
    catalog, requests = catalog_of(np.tile([[0.6, 0.8]], (10_000, 1))), [request(number) for number in range(64)]
    rank(requests[:1], unit_vectors(1, 2), catalog)
    tracemalloc.start()
    rank(requests, unit_vectors(64, 2), catalog)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 30_000_000


def test_zero_vectors_score_zero() -> None:
    catalog = catalog_of(np.zeros((3, 2)))
    ranked = rank([request()], np.array([[-1.0, 0.0]]), catalog)
    assert ranked.scores.tolist() == [0.0, 0.0, 0.0]
    assert not np.signbit(ranked.scores).any()


@pytest.mark.parametrize("offers", [1, 34, 1_000, 100_000])
def test_rankings_equal_a_float64_computation(offers: int) -> None:
    catalog, customers = catalog_of(unit_vectors(offers, 64)), unit_vectors(3, 64, seed=1)
    assert_as_oracle([request(number, limit=limit) for number, limit in enumerate([1, 34, 1_000])], customers, catalog)


def test_order_holds_below_single_precision() -> None:
    base = unit_vectors(1, 64)[0]
    nudges = np.random.default_rng(2).permutation(2_000)[:, None] * 1e-9 * unit_vectors(2_000, 64, seed=3)
    catalog = catalog_of(base * 0.99 + nudges)
    assert_as_oracle([request(limit=50)], base[None], catalog)


@given(st.data())
@settings(max_examples=80)
def test_any_batch_ranks_as_the_oracle(data: st.DataObject) -> None:
    offers = data.draw(st.integers(1, 60))
    catalog = catalog_of(coarse_vectors(offers, 4, seed=data.draw(st.integers(0, 99))))
    some_offers = st.lists(st.sampled_from(catalog.offer_ids), max_size=20)
    fields: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
        {"limit": st.integers(1, 70), "exclude": some_offers, "offers": st.none() | some_offers}
    )
    requests = [
        request(number, **drawn) for number, drawn in enumerate(data.draw(st.lists(fields, min_size=1, max_size=8)))
    ]
    assert_as_oracle(requests, coarse_vectors(len(requests), 4, seed=7) * 4, catalog)


@given(st.lists(st.integers(0, 39), min_size=1, max_size=12), st.integers(1, 3_000))
@settings(max_examples=40)
def test_a_ranking_ignores_its_batch(numbers: list[int], offers: int) -> None:
    catalog, customers = catalog_of(unit_vectors(offers, 33)), unit_vectors(40, 33, seed=1)
    requests = [request(number, limit=1 + number * 7) for number in range(40)]
    whole = rank(requests, customers, catalog)
    part = rank([requests[number] for number in numbers], customers[numbers], catalog)
    for place, number in enumerate(numbers):
        of_whole, of_part = slice(*whole.starts[number : number + 2]), slice(*part.starts[place : place + 2])
        assert part.rows[of_part].tolist() == whole.rows[of_whole].tolist()
        assert part.scores[of_part].tobytes() == whole.scores[of_whole].tobytes()


@pytest.mark.parametrize(
    "bound", ["PASS_FLAGS_MAX", "PASS_IDS_MAX", "SCORES_BYTES_MAX", "CANDIDATES_MAX", "RESCORED_BYTES_MAX"]
)
def test_the_smallest_bounds_of_memory_change_nothing(monkeypatch: pytest.MonkeyPatch, bound: str) -> None:
    catalog, customers = catalog_of(unit_vectors(300, 8)), unit_vectors(9, 8, seed=1)
    requests = [
        request(number, limit=5 + number, offers=catalog.offer_ids[::7] if number % 3 else None) for number in range(9)
    ]
    before = rank(requests, customers, catalog)
    monkeypatch.setattr(ranking, bound, 1)
    after = rank(requests, customers, catalog)
    assert after.rows.tolist() == before.rows.tolist()
    assert after.scores.tobytes() == before.scores.tobytes()
    assert after.eligible_counts.tolist() == before.eligible_counts.tolist()


def test_empty_batches_and_catalogs_rank_nothing() -> None:
    assert rank([], np.empty((0, 4)), catalog_of(unit_vectors(3, 4))).starts.tolist() == [0]
    nothing = rank([request(), request(1, offers=["x"])], unit_vectors(2, 4), catalog_of(np.empty((0, 4)), []))
    assert nothing.starts.tolist() == [0, 0, 0]
    assert nothing.excluded(1) == {"unknown_offer": 1}


def test_the_ineligible_best_is_never_ranked() -> None:
    offers = [offer("a", active=False), offer("b"), offer("c")]
    catalog = catalog_of(np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]]), offers)
    ranked = rank([request(exclude=["c"], limit=3)], np.array([[1.0, 0.0]]), catalog)
    assert ranked_offers(ranked, catalog) == ["b"]


def test_the_order_of_summation_is_fixed() -> None:
    vectors, customers = unit_vectors(50, 67).astype(np.float32), unit_vectors(4, 67, seed=1)
    pairs = Candidates(np.arange(4).repeat(50), np.tile(np.arange(50), 4))
    together = exact_scores(pairs, customers, vectors)
    alone = [exact_scores(Candidates(pairs.requests[[i]], pairs.rows[[i]]), customers, vectors)[0] for i in range(200)]
    assert together.tolist() == alone
