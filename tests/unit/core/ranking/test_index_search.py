from dataclasses import replace

import numpy as np
import pytest

from stream_scorer.core.messages import Filter, OfferId
from stream_scorer.core.ranking import index_plan
from stream_scorer.core.ranking.best_offers import Ranked, rank
from stream_scorer.core.ranking.index_search import _centroid_scores
from stream_scorer.core.releases import offer_index
from stream_scorer.core.releases.catalog import Catalog, index_cover
from stream_scorer.core.releases.change import OfferChange
from tests.index_worlds import CLUSTERS, MEMBERS, centres, clustered, indexed
from tests.ranking_worlds import catalog_of, offer, request, unit_vectors


@pytest.fixture(autouse=True)
def _any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_plan, "INDEX_OFFERS_MIN", 1)
    monkeypatch.setattr(index_plan, "FRESH_SHARE", 8)


def assert_same(one: Ranked, other: Ranked) -> None:
    assert one.rows.tolist() == other.rows.tolist()
    assert one.scores.tobytes() == other.scores.tobytes()
    assert one.starts.tolist() == other.starts.tolist()
    assert one.eligible_counts.tolist() == other.eligible_counts.tolist()


def ranked(catalog: Catalog, *requests: dict[str, object]) -> Ranked:
    asked = [request(number, **fields) for number, fields in enumerate(requests)]
    return rank(asked, centres()[: len(asked)], catalog)


def moved(row: int, vector: np.ndarray) -> OfferChange:
    stated = offer(f"o{row:06d}")
    return OfferChange(OfferId(stated.offer_id), stated, vector.astype(np.float32).tobytes(), (0, 1))


def withdrawn(row: int) -> OfferChange:
    return OfferChange(OfferId(f"o{row:06d}"), None, b"", (0, 1))


def test_index_rankings_have_exact_scores_and_ties() -> None:
    catalog, lists = indexed(clustered())
    requests = [request(number, limit=1 + number % 16) for number in range(CLUSTERS)]
    by_index = rank(requests, centres(), catalog)
    assert lists.searched == CLUSTERS
    assert by_index.by_index is not None
    assert by_index.by_index.all()
    assert_same(by_index, rank(requests, centres(), catalog, exact=True))
    assert (np.diff(by_index.scores)[:3] == 0).any() or len(np.unique(by_index.scores)) < len(by_index.scores)


def test_more_ties_than_candidates_are_ranked_exactly() -> None:
    catalog, lists = indexed(catalog_of(np.tile(centres(), (60, 1))))
    lists.blind = list(range(0, 3 * CLUSTERS, CLUSTERS))  # of 60 that tie, the index returns others than the first
    result = ranked(catalog, {})
    assert lists.searched == 1
    assert result.rows.tolist() == list(range(0, 10 * CLUSTERS, CLUSTERS))


def test_exact_ranking_asks_no_index() -> None:
    catalog, lists = indexed(clustered())
    result = rank([request()], centres()[:1], catalog, exact=True)
    assert (lists.searched, result.by_index is not None and result.by_index.any()) == (0, False)


def test_matrices_and_narrow_filters_are_exact() -> None:
    catalog, lists = indexed(clustered([offer(f"o{row:06d}", active=row < 9) for row in range(CLUSTERS * MEMBERS)]))
    ranked(catalog, {}, {"offers": ["o000001"]})
    assert lists.searched == 0


def test_filters_use_the_index_of_large_catalogs(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = range(CLUSTERS * MEMBERS)
    catalog, lists = indexed(clustered([offer(f"o{row:06d}", features={"even": row % 2 == 0}) for row in rows]))
    asked: dict[str, object] = {"filters": [Filter("even", "==", value=True)]}
    exact = ranked(catalog, asked)
    assert lists.searched == 0
    monkeypatch.setattr(index_plan, "FILTERED_OFFERS_MIN", 1)
    by_index = ranked(catalog, asked)
    assert lists.searched == 1
    assert_same(by_index, exact)


def test_what_may_not_be_shown_never_comes() -> None:
    offers = [offer(f"o{row:06d}", active=row % 2 == 0 or row % 3 == 0) for row in range(CLUSTERS * MEMBERS)]
    catalog, lists = indexed(clustered(offers))
    first = ranked(catalog, {}).rows.tolist()
    result = ranked(catalog, {"exclude": [catalog.offer_ids[row] for row in first[:5]]})
    assert lists.searched == 2
    assert result.rows.tolist()[:5] == first[5:]
    assert all(offers[row].active for row in result.rows)


def test_too_few_candidates_fall_back_to_exact() -> None:
    catalog, lists = indexed(clustered())
    lists.blind = [row for row in range(CLUSTERS * MEMBERS) if row % CLUSTERS or row >= 5 * CLUSTERS]
    result = ranked(catalog, {})
    assert result.by_index is not None
    assert not result.by_index.any()
    assert_same(result, rank([request()], centres()[:1], catalog, exact=True))


def test_changed_offers_are_ranked_beside_the_index() -> None:
    catalog, lists = indexed(clustered())
    changed = catalog.with_changes([moved(7, centres()[0]), moved(CLUSTERS * MEMBERS + 1, centres()[0])])
    result = ranked(changed, {"limit": 2})
    assert lists.searched == 1
    assert [changed.offer_ids[row] for row in result.rows] == ["o000007", f"o{CLUSTERS * MEMBERS + 1:06d}"]
    assert_same(result, rank([request(limit=2)], centres()[:1], changed, exact=True))


def test_moved_and_withdrawn_offers_leave_the_index() -> None:
    catalog, _ = indexed(clustered())
    best, second = ranked(catalog, {"limit": 2}).rows.tolist()
    changed = catalog.with_changes([withdrawn(best), moved(second, -centres()[0])])
    shown = [changed.offer_ids[row] for row in ranked(changed, {}).rows]
    assert not {f"o{best:06d}", f"o{second:06d}"} & set(shown)


def test_changes_widen_no_choice() -> None:
    rows = range(CLUSTERS * MEMBERS)
    catalog, lists = indexed(clustered([offer(f"o{row:06d}", active=row // CLUSTERS % 4 > 0) for row in rows]))
    best = ranked(catalog, {"limit": 1}).rows[0]
    hidden = replace(moved(9_000, centres()[0]), offer=offer("o009000", active=False))
    changed = catalog.with_changes([withdrawn(best), moved(5, centres()[0]), hidden])
    result = ranked(changed, {})
    assert lists.searched == 2
    assert_same(result, rank([request()], centres()[:1], changed, exact=True))


def test_an_outgrown_index_is_not_asked() -> None:
    catalog, lists = indexed(clustered())
    changed = catalog.with_changes([moved(row, centres()[1]) for row in range(CLUSTERS * MEMBERS // 2)])
    ranked(changed, {})
    assert lists.searched == 0


def test_the_way_to_a_state_is_forgotten() -> None:
    catalog, _ = indexed(clustered())
    base = catalog.vectors[3].copy()
    there = catalog.with_changes([moved(3, centres()[1]), withdrawn(5)])
    followed = there.with_changes([moved(3, base), moved(2_000, centres()[1])]).once(index_cover)
    afresh = catalog.with_changes([moved(3, base), withdrawn(5), moved(2_000, centres()[1])]).once(index_cover)
    assert followed is not None
    assert afresh is not None
    assert followed.fresh.tolist() == afresh.fresh.tolist() == [len(catalog) - 1]
    assert followed.rows is not None
    assert afresh.rows is not None
    assert followed.rows.tolist() == afresh.rows.tolist()


def test_moved_offers_are_seen_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offer_index, "_COMPARED_OFFERS", 100)
    catalog, _ = indexed(clustered())
    cover = catalog.with_changes([moved(row, -centres()[0]) for row in (3, 100, 1_279)]).once(index_cover)
    assert cover is not None
    assert cover.fresh.tolist() == [3, 100, 1_279]


def test_new_flags_alone_leave_an_offer_indexed() -> None:
    catalog, _ = indexed(clustered())
    same = moved(3, catalog.vectors[3])
    cover = catalog.with_changes([replace(same, offer=offer("o000003", active=False))]).once(index_cover)
    assert cover is not None
    assert (cover.rows, cover.fresh.tolist()) == (None, [])


def test_scores_of_centroids_ignore_their_batch() -> None:
    customers, centroids = unit_vectors(70, 16, seed=9).astype(np.float32), unit_vectors(33, 16).astype(np.float32)
    whole = np.concatenate(list(_centroid_scores(customers, centroids)))
    for number in (0, 33, 69):
        (alone,) = _centroid_scores(customers[number : number + 1], centroids)
        assert alone.tobytes() == whole[number].tobytes()


def test_a_ranking_by_index_ignores_its_batch() -> None:
    catalog, _ = indexed(clustered())
    catalog = catalog.with_changes([moved(row, centres()[row % 7]) for row in range(0, 90, 3)])
    customers = unit_vectors(70, 16, seed=9)
    requests = [request(number, limit=1 + number % 30, exclude=catalog.offer_ids[: number % 9]) for number in range(70)]
    whole = rank(requests, customers, catalog)
    for number in (0, 1, 33, 64, 69):
        alone = rank([requests[number]], customers[number : number + 1], catalog)
        part = slice(*whole.starts[number : number + 2])
        assert alone.rows.tolist() == whole.rows[part].tolist()
        assert alone.scores.tobytes() == whole.scores[part].tobytes()
