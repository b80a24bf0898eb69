"""Both stages of rankings recomputed: right ones pass, and each planted figure, place or gap is named."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from stream_scorer.core.messages import RankedOffer, Ranking
from stream_scorer.core.ranking.exploration import Exploration
from stream_scorer.core.ranking.pipeline import rank_batch
from stream_scorer.core.towers.model import Model
from stream_scorer.core.verifying.scores import recompute_rankings
from stream_scorer.core.wire.codec import decode_all
from tests.ranking_worlds import TOPICS, record_of, request
from tests.release_samples import model, offer, release, reranked_model
from tests.reranking_samples import network, trees

GENRES = ("rock", "jazz")
OFFERS = [offer(n, features={"price": n / 2, "colour": "red", "genre": GENRES[n % 2]}) for n in range(40)]
REQUESTS = [request(n, features={"price": n / 3, "budget": 4.0 * n}) for n in range(6)]


MODEL = reranked_model(1, network())


def ranked(made: Model = MODEL, **options: Any) -> list[Ranking]:
    batch = rank_batch([record_of(one) for one in REQUESTS], release(made, OFFERS), topics=TOPICS, **options)
    return decode_all([record_of(one.value or b"") for one in batch.outputs], Ranking).messages


def kinds(rankings: list[Ranking], made: Model = MODEL) -> list[str]:
    return [fault.kind for fault in recompute_rankings(rankings, made).faults]


@pytest.mark.parametrize("made", [MODEL, reranked_model(1, trees()), model(1)], ids=["network", "trees", "none"])
@pytest.mark.parametrize("exploration", [None, Exploration(0.5, 0.1, 20)], ids=["certain", "explored"])
def test_right_rankings_pass(made: Model, exploration: Exploration | None) -> None:
    assert kinds(ranked(made, exploration=exploration), made) == []


def spoiled(change: Callable[[list[RankedOffer]], list[RankedOffer]]) -> list[Ranking]:
    first, *rest = ranked()
    return [replace(first, offers=change(list(first.offers))), *rest]


def swapped(offers: list[RankedOffer]) -> list[RankedOffer]:
    one, other, *rest = offers
    return [replace(other, rank=1), replace(one, rank=2), *rest]


PLANTS: dict[str, tuple[str, Callable[[list[RankedOffer]], list[RankedOffer]]]] = {
    "another score": (
        "reranker_score_wrong",
        lambda offers: [replace(offers[0], reranker_score=(offers[0].reranker_score or 0.0) + 0.01), *offers[1:]],
    ),
    "another order": ("order_wrong", swapped),
    "a rank of the towers twice": (
        "order_wrong",
        lambda offers: [offers[0], replace(offers[1], tower_rank=offers[0].tower_rank), *offers[2:]],
    ),
    "no second stage": (
        "stage_unstated",
        lambda offers: [replace(one, tower_rank=None, reranker_score=None) for one in offers],
    ),
    "half of it": ("stage_unstated", lambda offers: [replace(offers[0], tower_rank=None), *offers[1:]]),
}


@pytest.mark.parametrize(("kind", "change"), PLANTS.values(), ids=PLANTS)
def test_what_is_planted_is_named(kind: str, change: Callable[[list[RankedOffer]], list[RankedOffer]]) -> None:
    assert kind in kinds(spoiled(change))


def test_ties_stand_in_the_towers_order() -> None:
    made = reranked_model(1, trees())
    first = ranked(made)[0]
    scores = [one.reranker_score for one in first.offers]
    place = next(place for place, pair in enumerate(pairwise(scores)) if pair[0] == pair[1])
    offers = [*first.offers[:place], *swapped(list(first.offers[place:]))]
    assert kinds([replace(first, offers=offers)], made) == ["order_wrong"]


def test_the_towers_own_order_is_judged() -> None:
    def exchanged(offers: list[RankedOffer]) -> list[RankedOffer]:
        ranks = [one.tower_rank for one in offers]
        return [replace(one, tower_rank=rank) for one, rank in zip(offers, reversed(ranks), strict=True)]

    assert "order_wrong" in kinds([replace(each, offers=exchanged(list(each.offers))) for each in ranked()])


def test_a_score_of_no_reranker_is_named() -> None:
    assert set(kinds(ranked(), model(1))) == {"stage_unstated"}


def test_the_order_of_one_stage_is_judged() -> None:
    plain = ranked(model(1))
    planted = [replace(plain[0], offers=swapped(list(plain[0].offers))), *plain[1:]]
    assert kinds(planted, model(1)) == ["order_wrong"]
