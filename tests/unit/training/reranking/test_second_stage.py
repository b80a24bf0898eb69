"""A re-ranker behind trained towers: kept where it is not worse, and left out with a reason where it is."""

import sys
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from stream_scorer.cli.training_lines import fact_lines
from stream_scorer.core.datasets.chunks import Views
from stream_scorer.core.evaluation.figures import StageFigure, TwoStages
from stream_scorer.core.evaluation.intervals import Interval
from stream_scorer.core.messages import Offer
from stream_scorer.core.towers.model import Model, digest_model
from stream_scorer.errors import UsageError
from stream_scorer.services.learning.trainer import train_model
from stream_scorer.simulation.price_tolerance import ToleranceWorld
from stream_scorer.training import joint
from stream_scorer.training.lesson import Fitted, Lesson
from stream_scorer.training.options import TrainOptions
from stream_scorer.training.reranking import second_stage as module
from stream_scorer.training.reranking.second_stage import RerankOptions, _latest, _reason_against, second_stage
from tests.example_samples import Chunks, chunk

CATALOG = Views([f"o{n}" for n in range(40)], [{}] * 40)
QUICK = TrainOptions(dim=4, width=4, epochs=2, held_out=0.2)


def trained(requests: int = 200, earlier: Model | None = None) -> tuple[Model, list[str]]:
    world, said = ToleranceWorld.of(0, customers=40, offers=30), list[str]()
    source, offers = Chunks((world.chunk(world.log(requests, 1)),)), world.catalog()
    second = second_stage(source, offers, RerankOptions("network", steps=20), said.append)
    return train_model(source, offers, QUICK, earlier=earlier, second=second).model, said


@cache
def once() -> tuple[Model, list[str]]:
    return trained()


def test_facts_say_how_it_was_judged() -> None:
    facts: Any = once()[0].facts["reranker"]
    assert facts["kind"] == "network"
    assert set(facts["tried"]) == {"network linear", "network small"}
    assert facts["judged"]["requests"] > 20
    assert facts["pairs"] == 10 * facts["requests"]


def test_the_model_has_what_was_kept() -> None:
    model, said = once()
    facts: Any = model.facts["reranker"]
    assert (model.reranker is not None) == facts["kept"] == (not said)
    assert model.model_id == digest_model(model.user_tower, model.item_tower, model.reranker)


def test_missing_lightgbm_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(UsageError, match="not installed"):
        second_stage(Chunks(()), (), RerankOptions("trees"))


def test_auto_says_that_networks_alone_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    said: list[str] = []
    second_stage(Chunks(()), (), RerankOptions("auto"), said.append)
    assert said[0].startswith("only networks are tried as re-rankers: LightGBM")


def test_too_few_requests_leave_the_towers() -> None:
    model, said = trained(12)
    assert model.reranker is None
    assert said[0].startswith("the re-ranker is left out: it needs at least 20 requests")
    assert any("re-ranker: none, since it needs" in line for line in fact_lines(model.facts))


def stages(change: float, half_width: float) -> TwoStages:
    towers, both = Interval(0.8, 0.79, 0.81), Interval(0.8 + change, 0.0, 1.0)
    figure = StageFigure(towers, both, Interval(change, change - half_width, change + half_width))
    return TwoStages(100, 1_000, figure, figure)


def test_only_a_sure_loss_leaves_it_out() -> None:
    assert _reason_against(stages(0.01, 0.02)) is None
    assert _reason_against(stages(-0.01, 0.02)) is None
    assert "nDCG@10 0.7900 against 0.8000 on 100 requests" in (_reason_against(stages(-0.01, 0.005)) or "")


def test_folds_have_towers_from_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    began: list[tuple[Model | None, int]] = []

    def noted(lesson: Lesson, *rest: Any, end: int) -> Fitted:
        began.append((lesson.earlier, end))
        return joint.trained(lesson, *rest, end=end)

    monkeypatch.setattr(module, "trained", noted)
    trained(earlier=once()[0])
    assert began == [(None, 2)] * 3


@pytest.mark.parametrize(("times", "later"), [([1, 2, 3, 4], 2), ([1, 1, 1, 4], 1), ([1, 4, 4, 4], 3)])
def test_both_halves_of_a_log_have_rows(times: list[int], later: int) -> None:
    assert _latest(np.array(times), 0.5).sum() == later


def counts_of_habits(monkeypatch: pytest.MonkeyPatch, late: int) -> tuple[Any, tuple[int, int]]:
    """Return what a log's pairs are counted by, and the last row counted and the first row of the pairs.

    Customers take two offers each by turns, so that nearly all acceptances are repeats; `late` moves those from row 400
    on to other offers.
    """
    made: list[tuple[Any, tuple[int, int]]] = []

    def noted(stage: module._Stage) -> list[object]:
        stage.strengths = dict.fromkeys(stage.strengths, 1.0)  # all parts of a log share those of all of its rows
        ((_, inputs),), ((learned, scored),) = parts_of(stage), stage._folds()
        made.append((inputs, (int(learned.max()), int(scored.min()))))
        return []

    rows = [(turn % 20, (turn % 20 + 20 * (turn // 20 % 2) + late * (turn >= 400)) % 40, 1) for turn in range(600)]
    source = Chunks((chunk(Views([f"c{n}" for n in range(20)], [{}] * 20), CATALOG, rows),))
    offers = [Offer(offer_id=one, features={}) for one in CATALOG.ids]
    parts_of = module._Stage._parts
    with monkeypatch.context() as patched:
        patched.setattr(module._Stage, "_parts", noted)
        second = second_stage(source, offers, RerankOptions("network", steps=2))
        train_model(source, offers, replace(QUICK, spectral="off"), second=second)
    return made[0]


def test_habits_are_counted_from_earlier_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    (inputs, (last, first)), (moved, rows) = (counts_of_habits(monkeypatch, late) for late in (0, 7))
    assert rows == (last, first)
    assert last < first <= 400
    assert len(inputs.crosses) == len(moved.crosses) > 0
    for ours, theirs in zip(inputs.crosses, moved.crosses, strict=True):
        assert ours.values.tolist() == theirs.values.tolist()
