"""The rows that training holds out put settings in the same order as later rows of the same world do."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from stream_scorer.bench.quality.measures import WorldExamples, judged
from stream_scorer.services.learning.trainer import train_model
from stream_scorer.simulation.quality_worlds import QualityWorld, contexts_and_repeats, positives_only
from stream_scorer.simulation.world import offer_id
from stream_scorer.training.options import TrainOptions

SETTINGS: tuple[dict[str, Any], ...] = (
    {"temperature": 0.05},
    {"temperature": 0.1},
    {"temperature": 0.2},
    {"temperature": 0.5},
    {"temperature": 1.5},
    {"temperature": 0.2, "dim": 3},
)
USUAL: dict[str, Any] = {"epochs": 8, "dim": 24, "width": 16, "held_out": 0.2}


def figures(world: QualityWorld, setting: dict[str, Any]) -> tuple[float, float]:
    """Return the nDCG@10 that training measures on held-out rows, and that on the world's rows after the log."""
    model = train_model(WorldExamples(world.chunk()), world.catalog(), TrainOptions(**{**USUAL, **setting})).model
    asked = world.views(world.judged)
    users = model.user_tower.embed(asked.features, asked.ids).vectors
    items = model.item_tower.embed(world.offers, [offer_id(row) for row in range(len(world.offers))]).vectors
    held_out: Any = model.facts["judged"]
    return held_out["beside"]["all"]["model"], judged(world, users @ items.T)[0]


@pytest.mark.parametrize("make", [contexts_and_repeats, positives_only])
def test_held_out_and_later_rows_order_alike(make: Callable[[int, float], QualityWorld]) -> None:
    world = make(0, 0.12)
    measured = np.array([figures(world, setting) for setting in SETTINGS])
    held_out, later = np.argsort(np.argsort(measured, axis=0), axis=0).T
    moved = float(((held_out - later) ** 2).sum())
    count = len(SETTINGS)
    assert 1 - 6 * moved / (count * (count**2 - 1)) >= 0.8  # Spearman's rank correlation; there are no ties
