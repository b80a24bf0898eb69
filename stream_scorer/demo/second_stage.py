"""What a re-ranker adds to its own towers, by the known odds: the same customers, ranked by the towers and by both."""

from dataclasses import dataclass

import numpy as np

from stream_scorer.core.evaluation.intervals import Interval, mean_interval
from stream_scorer.core.features.spec import Floats
from stream_scorer.core.towers.model import Model
from stream_scorer.core.towers.reranker import Places, Reranker, Shortlisted
from stream_scorer.simulation.world import PLACES, World, customer_id, offer_id


@dataclass(frozen=True, slots=True)
class AddedRate:
    """Acceptance rates over all customers, and the difference paired by customer, with 95 % intervals."""

    towers: float
    both: float
    above: Interval


def kind_of(model: Model) -> str:
    """Return `towers`, or `towers + re-ranker`."""
    return "towers" if model.reranker is None else "towers + re-ranker"


def added_by_reranker(world: World, model: Model, *, shortlist: int) -> AddedRate | None:
    """Compare what each customer would see with the re-ranker and without; None for a model that has none.

    No luck of answers is in it: a release's own acceptances would need hours to show so small a difference, and those
    of releases before came from towers that had learned from fewer answers.
    """
    if model.reranker is None:
        return None
    cosines = _cosines(world, model)  # (C, N)
    by_towers = np.argsort(-cosines, axis=1, kind="stable")[:, :shortlist]  # (C, S)
    scores = _scores(world, model.reranker, by_towers, np.take_along_axis(cosines, by_towers, axis=1))
    by_both = np.take_along_axis(by_towers, np.argsort(-scores, axis=1, kind="stable"), axis=1)
    customers = np.arange(len(by_towers))
    towers, both = (world.rates(customers, ranked[:, :PLACES]) for ranked in (by_towers, by_both))
    above = mean_interval(both - towers, np.random.default_rng(0))
    return None if above is None else AddedRate(float(towers.mean()), float(both.mean()), above)


def _cosines(world: World, model: Model) -> Floats:
    mine = model.user_tower.embed(world.customer_features, _customer_ids(world)).vectors
    theirs = model.item_tower.embed(world.offer_features, _offer_ids(world)).vectors
    return np.asarray(mine.astype(np.float64) @ theirs.astype(np.float64).T)


def _scores(world: World, reranker: Reranker, shortlists: Places, cosines: Floats) -> Floats:
    """Return the re-ranker's scores (C, S) of every customer's shortlist."""
    customers, size = shortlists.shape
    ranks = np.tile(np.arange(1, size + 1), customers)
    pairs = Shortlisted(np.repeat(np.arange(customers), size), shortlists.reshape(-1), cosines.reshape(-1), ranks)
    side = reranker.offer_side(world.offer_features, _offer_ids(world))
    return reranker.scores(world.customer_features, _customer_ids(world), pairs, side).reshape(customers, size)


def _customer_ids(world: World) -> list[str]:
    return [customer_id(row) for row in range(len(world.customer_features))]


def _offer_ids(world: World) -> list[str]:
    return [offer_id(row) for row in range(len(world.offer_features))]
