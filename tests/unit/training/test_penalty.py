"""The penalty that few acceptances choose by cross-validation."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from stream_scorer.core.datasets.training_set import Places
from stream_scorer.services.learning.trainer import read_lesson
from stream_scorer.training import penalty
from stream_scorer.training.lesson import Lesson
from stream_scorer.training.options import Recipe, TrainOptions
from stream_scorer.training.penalty import held_out_loss, with_penalty
from tests.example_samples import Chunks, snacks, tastes_meet

QUICK = TrainOptions(dim=8, width=4, batch_rows=256, learning_rate=0.02)


@pytest.mark.parametrize("least", [10.0, 30.0])
def test_the_least_loss_chooses_the_penalty(least: float, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[tuple[float, int]] = []

    def loss(lesson: Lesson, recipe: Recipe, rows: Places, held_out: Places) -> float:
        tried.append((recipe.prior, len(held_out)))
        return abs(recipe.prior - least)

    monkeypatch.setattr(penalty, "held_out_loss", loss)
    assert with_penalty(read_lesson(tastes_meet(600), snacks(), QUICK), QUICK).prior == least
    assert sum(rows for prior, rows in tried if prior == least) == 540


def test_folds_split_no_request(monkeypatch: pytest.MonkeyPatch) -> None:
    part = tastes_meet(600).parts[0]
    paired = replace(part, request=part.request // 2, request_time_ms=part.request_time_ms // 2)
    shared: list[set[int]] = []

    def loss(lesson: Lesson, recipe: Recipe, rows: Places, held_out: Places) -> float:
        shared.append(set(lesson.data.request[rows].tolist()) & set(lesson.data.request[held_out].tolist()))
        return 0.0

    monkeypatch.setattr(penalty, "held_out_loss", loss)
    with_penalty(read_lesson(Chunks((paired,)), snacks(), QUICK), QUICK)
    assert shared == [set()] * 6


def test_a_given_penalty_stays() -> None:
    given = replace(QUICK, prior=3.0)
    assert with_penalty(read_lesson(tastes_meet(600), snacks(), given), given) is given


def test_too_few_acceptances_choose_nothing() -> None:
    lesson = read_lesson(tastes_meet(100), snacks(), QUICK)
    assert with_penalty(lesson, QUICK) is QUICK


def test_a_fold_is_judged_by_its_loss() -> None:
    lesson = read_lesson(tastes_meet(100), snacks(), QUICK)
    rows = np.arange(100)
    assert 0.1 < held_out_loss(lesson, replace(lesson.recipe(QUICK), epochs=1), rows[:70], rows[70:]) < 10


def test_given_epochs_spare_the_choice() -> None:
    given = replace(QUICK, epochs=9)
    assert with_penalty(read_lesson(tastes_meet(600), snacks(), given), given) is given


def test_penalties_of_many_rows_are_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(penalty, "_ROWS_MAX", 399)
    assert with_penalty(read_lesson(tastes_meet(400), snacks(), QUICK), QUICK) is QUICK


def test_folds_are_trained_on_given_threads() -> None:
    lesson = read_lesson(tastes_meet(100), snacks(), QUICK)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        held_out_loss(lesson, replace(lesson.recipe(QUICK), epochs=1), np.arange(70), np.arange(70, 100))
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
