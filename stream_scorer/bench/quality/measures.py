"""Trains by default options on each world, and judges the model beside the world's own odds and the references."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from stream_scorer.adapters.local.clock import SystemClock
from stream_scorer.bench.quality.references import REFERENCES, MissingReference
from stream_scorer.core.datasets.chunks import ExampleChunk
from stream_scorer.core.evaluation.auc import auc_within
from stream_scorer.core.held_out.ranking_quality import AcceptedPairs, ranking_quality, top_k
from stream_scorer.core.towers.model import Model
from stream_scorer.core.towers.reranker import Shortlisted
from stream_scorer.services.learning.trainer import train_model
from stream_scorer.simulation.quality_worlds import QualityWorld, SimulatedRows
from stream_scorer.simulation.world import offer_id
from stream_scorer.training.options import TrainOptions
from stream_scorer.training.reranking.second_stage import RerankOptions, second_stage

Scores = npt.NDArray[np.floating]
Say = Callable[[str], None]

K = 10
ODDS, OURS, BOTH, BIASED = "the world's odds", "ours", "ours, two stages", "two stages, biased log"
_BLOCK = 512


@dataclass(frozen=True, slots=True)
class Measured:
    """A figure in one world, and the name of what it judges in `by`.

    `new` is the same figure for new offers alone, where the world has some; `missing` says why there is no figure.
    """

    world: str
    by: str
    figure: str
    value: float | None
    new: float | None = None
    seconds: float = 0.0
    missing: str = ""


@dataclass(frozen=True, slots=True)
class WorldExamples:
    """The examples of a world, as a training reads them."""

    part: ExampleChunk

    def chunks(self) -> Iterator[ExampleChunk]:
        """See ExampleSource."""
        yield self.part


def measure_quality(worlds: Sequence[QualityWorld], say: Say) -> list[Measured]:
    """Measure our training and all references on each world."""
    measured: list[Measured] = []
    for world in worlds:
        say(
            f"{world.name}: {len(world.log.customer):,} rows, {len(world.customers):,} customers, "
            f"{len(world.offers):,} offers"
        )
        measured += [*_each(world)]
    return measured


def _each(world: QualityWorld) -> Iterator[Measured]:
    by: dict[str, Callable[[QualityWorld], Scores | None]] = {ODDS: lambda one: one.truth, OURS: _ours}
    if world.biased is not None:
        by |= {BOTH: partial(_both_stages, log=world.log), BIASED: partial(_both_stages, log=world.biased)}
    for name, scores_of in {**by, **REFERENCES}.items():
        clock = SystemClock()
        start_s = clock.monotonic_s()
        try:
            scores = scores_of(world)
        except MissingReference as missing:
            yield Measured(world.name, name, _figure(world), None, missing=str(missing))
            continue
        if scores is not None:
            value, new = judged(world, scores)
            yield Measured(world.name, name, _figure(world), value, new, clock.monotonic_s() - start_s)


def _figure(world: QualityWorld) -> str:
    if world.ranks:
        return f"nDCG@{K}"
    return "AUC within request" if world.listed > 1 else "AUC within customer"


def _ours(world: QualityWorld) -> Scores:
    """Train by default options, and return the scores of what is judged: (T, N) where rankings are, else (T,)."""
    return _tower_scores(world, train_model(WorldExamples(world.chunk()), world.catalog(), TrainOptions()).model)


def _tower_scores(world: QualityWorld, model: Model) -> Scores:
    asked = world.views(world.judged)
    users = model.user_tower.embed(asked.features, asked.ids).vectors
    names = [offer_id(row) for row in range(len(world.offers))]
    items = model.item_tower.embed(world.offers, names).vectors
    if world.ranks:
        return np.asarray(users @ items.T)
    return np.asarray(np.einsum("np,np->n", users, items[world.judged.offer]))


def _both_stages(world: QualityWorld, log: SimulatedRows) -> Scores:
    """Train towers and a re-ranker of any kind by default options on a log; return the scores (T,) of what is judged.

    Each judged row is scored as if its offer stood first, as a re-ranker that learned from shown lists reads no rank.
    """
    source, catalog = WorldExamples(world.chunk(log)), world.catalog()
    second = second_stage(source, catalog, RerankOptions("auto"))
    model = train_model(source, catalog, TrainOptions(), second=second).model
    towers = _tower_scores(world, model)
    if model.reranker is None:
        return towers
    side = model.reranker.offer_side(world.offers, [offer_id(row) for row in range(len(world.offers))])
    rows, asked = np.arange(len(towers)), world.views(world.judged)
    pairs = Shortlisted(rows, world.judged.offer, towers.astype(np.float64), np.ones_like(rows))
    return model.reranker.scores(asked.features, asked.ids, pairs, side)


def judged(world: QualityWorld, scores: Scores) -> tuple[float, float | None]:
    """Return the figure of the scores, and that of new offers alone, None where the world has none.

    Scores are (T, N) where rankings of the catalog are judged, else (T,).
    """
    rows, catalog = world.judged, len(world.offers)
    if not world.ranks:
        within = np.arange(len(rows.customer)) // world.listed if world.listed > 1 else rows.customer
        return float(auc_within(within, scores, rows.accepted).auc or 0.0), None
    # Where customers accept the same offers again, each row is a question of its own. Elsewhere a customer's rows have
    # equal scores, and together they are one question.
    question = (
        np.arange(len(rows.customer)) if world.repeats else np.unique(rows.customer, return_inverse=True)[1].reshape(-1)
    )
    first = np.unique(question, return_index=True)[1]
    wanted = AcceptedPairs.of(question, rows.offer, catalog=catalog)
    known = AcceptedPairs.of(world.log.customer, world.log.offer, catalog=catalog)
    tops = [
        top_k(_without_known(world, known, scores, first[start : start + _BLOCK]), K)
        for start in range(0, len(first), _BLOCK)
    ]
    top = np.concatenate(tops)
    new = wanted.of_offers(world.new) if world.new.any() else None
    return _ndcg(top, wanted, catalog), None if new is None else _ndcg(top, new, catalog)


def _without_known(world: QualityWorld, known: AcceptedPairs, scores: Scores, rows: npt.NDArray[np.int64]) -> Scores:
    block = scores[rows].astype(np.float64)
    if not world.repeats:
        pairs = known.of_customers(world.judged.customer[rows])
        block[pairs.customer, pairs.offer] = -np.inf
    return block


def _ndcg(top: npt.NDArray[np.int64], wanted: AcceptedPairs, catalog: int) -> float:
    return float(ranking_quality(top, wanted, catalog=catalog).ndcg.mean())
