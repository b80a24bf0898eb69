"""The second stage: every shortlist in the re-ranker's order, cut to what was asked for, whatever the batch."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest

from stream_scorer.core.messages import CustomerRequest, Ranking
from stream_scorer.core.ranking import reranking
from stream_scorer.core.ranking.best_offers import rank
from stream_scorer.core.ranking.exploration import Exploration
from stream_scorer.core.ranking.pipeline import rank_batch
from stream_scorer.core.ranking.reranking import rerank
from stream_scorer.core.releases.catalog import Catalog
from stream_scorer.core.releases.offer_side import OfferSideOf
from stream_scorer.core.releases.release import Release
from stream_scorer.core.reranking.network import NetworkReranker
from stream_scorer.core.towers.reranker import OfferSide, Shortlisted
from stream_scorer.core.wire.codec import decode_all
from tests.ranking_worlds import TOPICS, catalog_of, offer, record_of, release_of, request, unit_vectors
from tests.reranking_samples import network, trees

GENRES = ("rock", "jazz", "folk")
OFFERS = [offer(f"o{row:03d}", features={"price": float(row % 40), "genre": GENRES[row % 3]}) for row in range(300)]
CATALOG = catalog_of(unit_vectors(300, 8), OFFERS)
CUSTOMERS = unit_vectors(6, 8, seed=1)
PLAIN = release_of(CATALOG, CUSTOMERS)
RERANKED = replace(PLAIN, reranker=network())
REQUESTS = [
    request(n, features={"budget": 5.0 * n, "taken": ["jazz"]}, limit=limit)
    for n, limit in enumerate((3, 10, 150, 1, 5))
]


def ranked(release: Release, requests: Sequence[CustomerRequest] = REQUESTS, **options: Any) -> list[Ranking]:
    batch = rank_batch([record_of(one) for one in requests], release, topics=TOPICS, **options)
    values = [record_of(output.value) for output in batch.outputs if output.value is not None]
    return decode_all(values, Ranking).messages


def by_hand(asked: CustomerRequest, number: int, shortlist: int) -> list[tuple[str, float, int]]:
    """Score the shortlist a pair at a time."""
    towers = rank([asked], CUSTOMERS[number : number + 1], CATALOG, limits=np.array([max(asked.limit, shortlist)]))
    model = network()
    side = model.offer_side([one.features for one in OFFERS], [one.offer_id for one in OFFERS])
    scored = []
    for place, (row, score) in enumerate(zip(towers.rows.tolist(), towers.scores.tolist(), strict=True), 1):
        nobody = np.zeros(1, np.int64)
        pair = Shortlisted(nobody, np.array([row]), np.array([score]), nobody + place)
        made = model.scores([asked.features], [asked.customer_id], pair, side)
        scored.append((CATALOG.offer_ids[row], float(made[0]), place))
    return sorted(scored, key=lambda one: (-one[1], one[2]))[: asked.limit]


@pytest.mark.parametrize("shortlist", [1, 20, 100])
def test_shortlists_stand_in_rerankers_order(shortlist: int) -> None:
    for number, ranking in enumerate(ranked(RERANKED, shortlist=shortlist)):
        placed = [(one.offer_id, one.reranker_score, one.tower_rank) for one in ranking.offers]
        assert placed == by_hand(REQUESTS[number], number, shortlist)
        assert [one.rank for one in ranking.offers] == list(range(1, len(placed) + 1))


def test_scores_stay_the_towers_own() -> None:
    towers = {one.offer_id: one.score for ranking in ranked(PLAIN, [replace_limit(300)]) for one in ranking.offers}
    (again,) = ranked(RERANKED, [replace_limit(50)])
    assert {one.offer_id: one.score for one in again.offers}.items() <= towers.items()


def replace_limit(limit: int) -> CustomerRequest:
    return request(0, features={"budget": 7.0}, limit=limit)


def test_limits_beyond_the_shortlist_are_met() -> None:
    assert [len(ranking.offers) for ranking in ranked(RERANKED, shortlist=2)] == [3, 10, 150, 1, 5]


def test_rankings_do_not_depend_on_batches() -> None:
    together = ranked(RERANKED)
    assert [one for asked in REQUESTS for one in ranked(RERANKED, [asked])] == together


@pytest.mark.parametrize("pairs_max", [1, 150, 333])
def test_parts_of_batches_change_no_score(pairs_max: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ranked(RERANKED)
    monkeypatch.setattr(reranking, "PAIRS_MAX", pairs_max)
    assert ranked(RERANKED) == whole


def test_nothing_eligible_is_reranked_too() -> None:
    (nothing, something) = ranked(RERANKED, [request(0, offers=[]), request(1, limit=2)])
    assert (nothing.status, len(something.offers)) == ("nothing_eligible", 2)


def test_without_a_reranker_no_field_is_written() -> None:
    batch = rank_batch([record_of(one) for one in REQUESTS], PLAIN, topics=TOPICS)
    assert not any(b"tower_rank" in (output.value or b"") for output in batch.outputs)


def test_trees_rank_as_networks_do() -> None:
    (ranking,) = ranked(replace(PLAIN, reranker=trees()), [replace_limit(20)])
    scores = [(-(one.reranker_score or 0.0), one.tower_rank) for one in ranking.offers]
    assert scores == sorted(scores)


def test_exploration_draws_from_final_orders() -> None:
    exploring = Exploration(1e-6, 0.0, 20)  # so cold that it draws the best
    some = REQUESTS[:2]  # of few places: far down, scores lie too close
    drawn, certain = ranked(RERANKED, some, exploration=exploring), ranked(RERANKED, some)
    for one, other in zip(drawn, certain, strict=True):
        assert [placed.offer_id for placed in one.offers] == [placed.offer_id for placed in other.offers]


def test_explored_rankings_state_both_stages() -> None:
    exploring = Exploration(1.0, 0.1, 50)
    for ranking in ranked(RERANKED, exploration=exploring):
        known = {one.offer_id: (one.reranker_score, one.tower_rank) for one in ranking.offers}
        whole = ranked(RERANKED, [replace(REQUESTS[int(ranking.request_id[1:])], limit=300)])[0]
        assert known.items() <= {one.offer_id: (one.reranker_score, one.tower_rank) for one in whole.offers}.items()


def test_pools_stand_in_final_order() -> None:
    made = rerank(REQUESTS, rank(REQUESTS, CUSTOMERS[:5], CATALOG, limits=np.full(5, 30)), CATALOG, network())
    assert made.tower_ranks is not None
    assert made.reranker_scores is not None
    for start, end in zip(made.starts[:-1].tolist(), made.starts[1:].tolist(), strict=True):
        assert sorted(made.tower_ranks[start:end].tolist()) == list(range(1, 31))
        assert np.all(np.diff(made.reranker_scores[start:end]) <= 0)


def changed(catalog: Catalog) -> Catalog:
    stated = [offer("o007", features={"price": 39.0, "genre": "jazz"}), offer("o0071", features={"price": 2.0})]
    return catalog.merged(
        Catalog.of(catalog.release_id, stated, unit_vectors(2, 8, seed=3).astype(np.float32)),
        withdrawn=[catalog.offer_ids[3]],
    )


def test_a_changed_offers_row_follows_alone() -> None:
    making, plain = OfferSideOf(network()), network()
    made = Counted(plain.inputs, plain.customer_half, plain.offer_half, plain.pair, plain.crossed, plain.layers)
    made.counted.clear()
    before = making(CATALOG)
    after = changed(CATALOG)
    side = OfferSideOf(made).following(after, CATALOG, before)
    assert made.counted == ["o007", "o0071"]
    assert_alike(side.arrays, making(after).arrays)


def test_ready_catalogs_bring_their_offer_side() -> None:
    making = OfferSideOf(network())
    making.make_ready(CATALOG, None)
    after = changed(CATALOG)
    after.make_ready_like(CATALOG)
    assert making not in after.derived
    making.make_ready(after, CATALOG)
    assert_alike(after.derived[making].arrays, making(after).arrays)  # type: ignore[attr-defined]


def assert_alike(one: Any, other: Any) -> None:
    assert one.keys() == other.keys()
    assert all(np.array_equal(one[name], other[name]) for name in one)


class Counted(NetworkReranker):
    """A re-ranker that counts the offers that it works out."""

    counted: ClassVar[list[str]] = []

    def offer_side(self, features: Sequence[Any], ids: Sequence[str]) -> OfferSide:
        self.counted.extend(ids)
        return network().offer_side(features, ids)
