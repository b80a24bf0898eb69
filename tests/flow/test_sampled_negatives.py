"""Sampling negatives in the buffer, and weighting them in training, does not change the odds that are learned."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from torch.nn import functional

from stream_scorer.adapters.files.example_files import ExampleFiles
from stream_scorer.adapters.parquet.buffer import ParquetBuffer
from stream_scorer.core.buffer.buffer_files import Chunk
from stream_scorer.core.buffer.examples import take_apart
from stream_scorer.core.datasets.training_set import TrainingSet
from stream_scorer.core.messages import LabelledOffer, LabelledRanking
from stream_scorer.core.records import Partition
from stream_scorer.services.learning.trainer import read_lesson
from stream_scorer.training.joint import fit
from stream_scorer.training.lesson import Fitted
from stream_scorer.training.options import TrainOptions
from stream_scorer.training.towers.batches import Batch
from tests.example_samples import TASTES, snacks

ODDS = {True: 0.6, False: 0.05}  # of an offer of the customer's own taste, and of another
KEEP_PROB = 0.2
OPTIONS = TrainOptions(dim=8, width=4, epochs=10, batch_rows=256, learning_rate=0.02, objective="shown")


def rankings() -> Iterator[LabelledRanking]:
    """Yield rankings of three offers; an offer without an answer is a negative once the window has closed."""
    rng = np.random.default_rng(3)
    for number in range(2_000):
        taste = number % 90 % 3
        offers = [
            labelled(int(place), rank, taste, rng) for rank, place in enumerate(rng.choice(12, 3, replace=False), 1)
        ]
        yield LabelledRanking(
            f"q{number}", 1, True, f"c{number % 90}", 1_000 + number, "rel", {"likes": TASTES[taste]}, offers
        )


def labelled(place: int, rank: int, taste: int, rng: np.random.Generator) -> LabelledOffer:
    offer = snacks()[place]
    accepted: Literal[0, 1] = 1 if rng.random() < ODDS[place % 3 == taste] else 0
    return LabelledOffer(
        offer.offer_id, rank, 0.5, 1.0, offer.features, accepted, "accepted" if accepted else "window_closed", 5_000
    )


def learned_from(folder: Path, keep_prob: float) -> tuple[TrainingSet, Fitted]:
    """Write the rankings to files as the buffer does, and train on them."""
    rows = [row for ranking in rankings() for row in take_apart(ranking, keep_prob=keep_prob)]
    ParquetBuffer.open(str(folder)).write([Chunk(Partition("training-labels", 0), 0, 2_000, rows, keep_prob)])
    source = ExampleFiles.at(folder)
    lesson = read_lesson(source, snacks(), OPTIONS)
    return lesson.data, fit(lesson, OPTIONS, report=lambda epoch: None)


def odds(data: TrainingSet, done: Fitted) -> dict[bool, float]:
    """Return the mean learned odds, by the rows' weights, for offers of the customer's taste (True) and for others."""
    with torch.no_grad():
        outputs = done.user.outputs(Batch.of(data.customers, data.customer.astype(np.int64)))
        items = done.item(Batch.of(data.offers, data.offer.astype(np.int64)))
        cosine = (functional.normalize(outputs, dim=1) * items).sum(dim=1)
        learned = torch.sigmoid(
            done.head.log_odds(cosine, done.head.of_customers(outputs), torch.from_numpy(data.rank.astype(np.int64)))
        ).numpy()
    own = np.array([int(name[1:]) % 3 for name in data.customer_ids])[data.who] == data.catalog_of[data.offer] % 3
    return {kind: float(np.average(learned[own == kind], weights=data.weight[own == kind])) for kind in (True, False)}


@pytest.mark.parametrize("keep_prob", [1.0, KEEP_PROB])
def test_sampling_keeps_the_worlds_odds(tmp_path: Path, keep_prob: float) -> None:
    data, done = learned_from(tmp_path, keep_prob)
    assert len(data) == 6_000 if keep_prob == 1.0 else len(data) < 3_000
    assert odds(data, done) == pytest.approx(ODDS, abs=0.06)
