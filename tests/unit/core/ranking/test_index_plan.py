import numpy as np
import pytest

from stream_scorer.core.ranking.index_plan import (
    FRESH_SHARE,
    INDEX_OFFERS_MIN,
    nearest_lists,
    outgrown,
    plan_of,
    serves,
    wanted_classes,
)
from stream_scorer.core.releases.offer_index import IndexCover, InvertedFile

LISTS, OFFERS = 400, 40_000
FILE = InvertedFile(np.ones((LISTS, 2), np.float32), np.arange(OFFERS, dtype=np.int32) % LISTS, 4, 0.99)
WHOLE = np.full(LISTS, OFFERS // LISTS)


def cover(fresh: int = 0) -> IndexCover:
    return IndexCover(None, np.arange(fresh))


def lists_for(sizes: list[int] | np.ndarray, wanted: int = 16) -> int | None:
    plan = plan_of(FILE, np.asarray(sizes), wanted=wanted)
    return None if plan is None else plan.lists


def test_small_catalogs_are_ranked_exactly() -> None:
    assert serves(FILE, cover(), INDEX_OFFERS_MIN)
    assert not serves(FILE, cover(), INDEX_OFFERS_MIN - 1)


def test_an_outgrown_index_serves_nobody() -> None:
    assert not outgrown(cover(OFFERS // FRESH_SHARE), OFFERS)
    assert outgrown(cover(OFFERS // FRESH_SHARE + 1), OFFERS)
    assert not serves(FILE, cover(INDEX_OFFERS_MIN), INDEX_OFFERS_MIN)


def test_an_index_of_wide_scans_serves_nobody() -> None:
    wide = InvertedFile(FILE.centroids, FILE.list_of, LISTS // 4, 0.99)
    assert not serves(wide, cover(), INDEX_OFFERS_MIN)


def test_longer_rankings_look_into_more_lists() -> None:
    assert [lists_for(WHOLE, wanted) for wanted in (16, 32, 128)] == [4, 8, 32]


@pytest.mark.parametrize("wanted", [512, 4_096])
def test_very_long_rankings_are_exact(wanted: int) -> None:
    assert lists_for(WHOLE, wanted) is None


def test_a_scattered_filter_looks_further() -> None:
    assert lists_for(WHOLE // 2) == 8
    assert lists_for(WHOLE // 20) is None


def test_a_filter_of_whole_clusters_costs_nothing() -> None:
    sizes = np.where(np.arange(LISTS) < 20, WHOLE, 0)
    assert lists_for(sizes) == 4


def test_an_empty_choice_is_ranked_exactly() -> None:
    assert lists_for(np.zeros(LISTS, np.int64)) is None


def test_candidates_exceed_what_is_wanted() -> None:
    plan = plan_of(FILE, WHOLE, wanted=16)
    assert plan is not None
    assert plan.candidates > 2 * 16


def test_what_is_wanted_includes_the_excluded() -> None:
    assert wanted_classes(np.array([1, 10, 10, 17]), np.array([0, 0, 30, 0])).tolist() == [16, 16, 64, 32]


def test_the_nearest_lists_are_not_empty() -> None:
    scores = np.array([[0.9, 0.8, 0.1, 0.5]], np.float32)
    assert sorted(nearest_lists(scores, np.array([0, 3, 1, 1]), 2)[0].tolist()) == [1, 3]
    assert nearest_lists(scores, np.array([0, 3, 1, 1]), 4).tolist() == [[0, 1, 2, 3]]
