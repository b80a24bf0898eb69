"""Joint training comes near the simulator's true odds; towers that are trained apart do not."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from stream_scorer.adapters.files.example_files import ExampleFiles
from stream_scorer.core.evaluation.auc import auc_within
from stream_scorer.core.messages import LabelledExample
from stream_scorer.core.wire.codec import encode
from stream_scorer.services.learning.trainer import finish, read_lesson
from stream_scorer.simulation.world import World, customer_row, offer_row
from stream_scorer.training.lesson import Lesson
from stream_scorer.training.options import TrainOptions

WORLD = World.of(1, customers=300, offers=200, popularity_rate=0.5)


@pytest.fixture(scope="module")
def log() -> list[LabelledExample]:
    return WORLD.log(np.random.default_rng(2), 20_000, start_ms=1_700_000_000_000, places=10, random_share=1.0)


@pytest.fixture(scope="module")
def lesson(log: list[LabelledExample], tmp_path_factory: pytest.TempPathFactory) -> Lesson:
    path = tmp_path_factory.mktemp("labels") / "labels.jsonl"
    path.write_bytes(b"".join(encode(example) + b"\n" for example in log))
    return read_lesson(ExampleFiles.at(path), WORLD.offers(), TrainOptions())


def share_of_the_way(facts: dict[str, Any], log: Sequence[LabelledExample]) -> float:
    """Return how far the held-out AUC within customers has come from popularity (0) to the true odds (1)."""
    held_out = [example for example in log if example.request_time_ms > facts["trained_until_ms"]]
    who = np.array([customer_row(example.customer_id) for example in held_out])
    odds = WORLD.odds(who, np.array([[offer_row(example.offer_id)] for example in held_out]))[:, 0]
    truth = auc_within(who, odds, np.array([example.accepted for example in held_out])).auc
    ours, popularity = facts["held_out_auc"]["within_customer"], facts["popularity_auc"]["within_customer"]
    assert truth is not None
    return float((ours - popularity) / (truth - popularity))


def test_joint_training_nears_the_true_odds(lesson: Lesson, log: list[LabelledExample]) -> None:
    assert share_of_the_way(finish(lesson, TrainOptions()).model.facts, log) >= 0.9


def test_towers_trained_apart_rank_worse_than_popularity(lesson: Lesson, log: list[LabelledExample]) -> None:
    assert share_of_the_way(finish(lesson, TrainOptions(objective="separate")).model.facts, log) < 0.0
