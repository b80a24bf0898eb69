"""Measures how near training comes to the simulator's true odds with more and more rows, jointly and tower by tower."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from stream_scorer.adapters.files.example_files import ExampleFiles
from stream_scorer.bench.train.simulated_labels import Draw, draw, write_labels
from stream_scorer.core.evaluation.auc import auc_within
from stream_scorer.core.towers.model import Model
from stream_scorer.services.learning.trainer import train_model
from stream_scorer.simulation.world import World, customer_id, offer_id
from stream_scorer.training.options import TrainOptions

SIZES = (1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
_CUSTOMERS, _OFFERS, _PLACES = 1_000, 200, 10
_JUDGED_REQUESTS = 20_000
_START_MS = 1_700_000_000_000

Floats = npt.NDArray[np.float64]
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Point:
    """AUCs within customers on fresh rankings, after training on `rows` rows."""

    rows: int
    popularity: float
    joint: float
    separate: float
    truth: float

    def share(self, auc: float) -> float:
        """Return how far an AUC has come from popularity (0) to the truth (1)."""
        return (auc - self.popularity) / (self.truth - self.popularity)


def learn(sizes: Sequence[int] = SIZES, *, requests: int = _JUDGED_REQUESTS, say: Say) -> list[Point]:
    """Train on more and more rows of one shop, and judge each model on the same `requests` fresh rankings."""
    world = World.of(1, customers=_CUSTOMERS, offers=_OFFERS, popularity_rate=0.5)
    judged = draw(world, np.random.default_rng(1), requests, places=_PLACES)
    truth = world.odds(np.arange(_CUSTOMERS), np.arange(_OFFERS))
    points = []
    for rows in sizes:
        say(f"learning from {rows:,} rows")
        with tempfile.TemporaryDirectory(prefix="stream-scorer-bench-") as made:
            write_labels(world, np.random.default_rng(2), Path(made), rows=rows, places=_PLACES, start_ms=_START_MS)
            examples = ExampleFiles.at(Path(made) / "labels")
            joint, separate = (_scores(world, examples, objective) for objective in ("auto", "separate"))
            popularity = np.tile(_accepted(examples), (_CUSTOMERS, 1))
        points.append(Point(rows, *(_auc(judged, scores) for scores in (popularity, joint, separate, truth))))
    return points


def curves_of(points: Sequence[Point]) -> dict[str, list[float]]:
    """Return the curves of the plot by their names."""
    return {
        "true odds": [point.truth for point in points],
        "joint training": [point.joint for point in points],
        "popularity": [point.popularity for point in points],
        "towers trained apart": [point.separate for point in points],
    }


def _scores(world: World, examples: ExampleFiles, objective: Literal["auto", "separate"]) -> Floats:
    """Train, and return the scores of every offer for every customer (C, N)."""
    model: Model = train_model(examples, world.offers(), TrainOptions(objective=objective)).model
    users = model.user_tower.embed(world.customer_features, [customer_id(row) for row in range(_CUSTOMERS)]).vectors
    items = model.item_tower.embed(world.offer_features, [offer_id(row) for row in range(_OFFERS)]).vectors
    return np.asarray(users @ items.T, np.float64)


def _accepted(examples: ExampleFiles) -> Floats:
    """Count each offer's acceptances (N,)."""
    counts = np.zeros(_OFFERS)
    rows = {offer_id(row): row for row in range(_OFFERS)}
    for chunk in examples.chunks():
        place = np.array([rows[offer] for offer in chunk.offers.ids])
        np.add.at(counts, place[chunk.offer], chunk.accepted)
    return counts


def _auc(judged: Draw, scores: Floats) -> float:
    within = auc_within(
        np.repeat(judged.customer, _PLACES),
        scores[judged.customer[:, None], judged.shown].reshape(-1),
        judged.accepted.reshape(-1),
    )
    return float(within.auc or 0.0)
