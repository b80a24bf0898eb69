"""What follows from the rows of a lesson, whatever the options."""

from dataclasses import replace

import numpy as np
import pytest

from stream_scorer.core.datasets import traits
from stream_scorer.core.datasets.training_set import TrainingSet
from stream_scorer.services.learning.trainer import read_lesson
from stream_scorer.training import lesson as module
from stream_scorer.training.options import TrainOptions
from tests.example_samples import snacks, tastes_meet


def test_rows_are_measured_and_split_once(monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[int] = []

    def counted(data: TrainingSet) -> traits.LogTraits:
        measured.append(len(data))
        return traits.traits_of(data)

    monkeypatch.setattr(module, "traits_of", counted)
    lesson = read_lesson(tastes_meet(200), snacks(), TrainOptions())
    first, second = lesson.recipe(TrainOptions()), lesson.recipe(TrainOptions(prior=3.0))
    assert measured == [200]
    assert lesson.split(first) is lesson.split(second)


def test_each_share_and_lesson_has_its_split() -> None:
    lesson = read_lesson(tastes_meet(200), snacks(), TrainOptions())
    recipe = lesson.recipe(TrainOptions())
    rows, held_out = lesson.split(recipe)
    assert len(lesson.split(replace(recipe, held_out=0.2))[1]) > len(held_out)
    assert len(replace(lesson, as_new=0.5).split(recipe)[0]) < len(rows)
    assert np.intersect1d(rows, held_out).size == 0
