"""What the demo's re-ranker adds, by the odds of its world."""

from dataclasses import replace
from typing import cast

import numpy as np
import pytest

from stream_scorer.core.features.spec import FeatureSpec, Number
from stream_scorer.core.towers.model import Model
from stream_scorer.core.towers.reranker import Reranker, Shortlisted
from stream_scorer.core.towers.tower import Layer, Tower
from stream_scorer.demo.second_stage import added_by_reranker, kind_of
from stream_scorer.simulation.world import World

WORLD = World.of(2, customers=40, offers=30, ridge=3.0)


class KnowsTheOdds:
    """A re-ranker that scores by the world's odds, or by their opposite."""

    def __init__(self, sign: float) -> None:
        self._sign = sign

    def offer_side(self, features: object, ids: object) -> None: ...

    def scores(self, features: object, ids: object, pairs: Shortlisted, side: object) -> np.ndarray:
        return self._sign * WORLD.odds(pairs.request, pairs.offer[:, None])[:, 0]


def tower(spec: FeatureSpec) -> Tower:
    return Tower(spec, np.zeros((0, 1), np.float32), "concat", (Layer(np.array([[0.0], [1.0]]), np.ones(2)),))


def made(sign: float) -> Model:
    mine = tower(FeatureSpec("customer", (Number("age", mean=30.0, scale=0.1),)))
    theirs = tower(FeatureSpec("offer", (Number("price", mean=30.0, scale=0.1),)))
    return Model("model", mine, theirs, {}, cast(Reranker, KnowsTheOdds(sign)))


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_better_order_is_known(sign: float) -> None:
    found = added_by_reranker(WORLD, made(sign), shortlist=30)
    assert found is not None
    assert found.both - found.towers == pytest.approx(found.above.value)
    assert sign * found.above.value > 0
    assert found.above.low < found.above.value < found.above.high


def test_the_odds_reach_the_best_possible() -> None:
    found = added_by_reranker(WORLD, made(1.0), shortlist=30)
    assert found is not None
    assert found.both == pytest.approx(WORLD.best_possible())


def test_towers_alone_add_nothing() -> None:
    alone = replace(made(1.0), reranker=None)
    assert (added_by_reranker(WORLD, alone, shortlist=30), kind_of(alone)) == (None, "towers")
    assert kind_of(made(1.0)) == "towers + re-ranker"


def test_the_shortlist_bounds_what_is_added() -> None:
    few, all_of_them = (added_by_reranker(WORLD, made(1.0), shortlist=size) for size in (6, 30))
    assert few is not None
    assert all_of_them is not None
    assert few.towers < few.both < all_of_them.both
