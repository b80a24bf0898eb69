"""Two models on the same rows: paired by customer, whatever either reads or has learned from."""

from dataclasses import replace

import numpy as np
import pytest

from stream_scorer.core.datasets.chunks import Views
from stream_scorer.core.evaluation.figures import AgainstFigures
from stream_scorer.core.evaluation.judging import ScoredRows, judge
from stream_scorer.core.inspecting.against import against
from stream_scorer.core.towers.model import Model
from tests.example_samples import Chunks, snacks, tastes_meet
from tests.judged_samples import judged_tastes, taste_model


def compared(ours: ScoredRows, other: ScoredRows) -> AgainstFigures:
    return against(ours, other, 4, np.random.default_rng(0))


def judged_alone(model: Model, labels: Chunks, until_ms: int) -> ScoredRows:
    """Judge the rows that are later than what the model learned from."""
    return judge(replace(model, facts={"trained_until_ms": until_ms}), snacks(), labels, None, held_out=0.5)


def test_the_better_model_is_above_the_other() -> None:
    found = compared(judged_tastes(), judged_tastes(taste_model(knows_tastes=False)))
    assert [one.figure for one in found.figures] == ["AUC within customer", "nDCG@4"]
    assert all(one.above_other.low > 0.1 for one in found.figures)
    assert (found.customers_left_out, found.rows, found.incomparable) == (0, 1_000, None)


def test_a_model_equals_itself() -> None:
    for one in compared(judged_tastes(), judged_tastes()).figures:
        assert (one.above_other.low, one.above_other.value, one.above_other.high) == (0.0, 0.0, 0.0)


def test_exchanged_models_have_opposite_differences() -> None:
    good, bad = judged_tastes(), judged_tastes(taste_model(knows_tastes=False))
    for one, other in zip(compared(good, bad).figures, compared(bad, good).figures, strict=True):
        assert one.above_other.value == pytest.approx(-other.above_other.value)


def test_rows_learned_from_are_left_out() -> None:
    labels = tastes_meet(1_000, seed=5)
    first, second = (judged_alone(taste_model(), labels, until_ms) for until_ms in (1_199, 1_599))
    assert (len(first.rows), len(second.rows)) == (800, 400)
    for pair in ((first, second), (second, first)):
        found = compared(*pair)
        assert found.rows == 400
        assert all(one.above_other.value == 0.0 for one in found.figures)


def test_customers_read_differently_are_left_out() -> None:
    part = tastes_meet(1_000, seed=5).parts[0]
    old = [{**row, "age": "old"} if number < 5 else row for number, row in enumerate(part.customers.features)]
    labels = Chunks((replace(part, customers=Views(part.customers.ids, old)),))
    whole = taste_model()
    spec = replace(whole.user_tower.spec, inputs=whole.user_tower.spec.inputs[:1])
    (layer,) = whole.user_tower.layers
    ageless = replace(whole.user_tower, spec=spec, layers=(replace(layer, weight=layer.weight[:, :4]),))
    other = judged_tastes(replace(whole, user_tower=ageless), labels)
    found = compared(judged_tastes(whole, labels), other)
    assert found.customers_left_out == 5
    assert all(one.above_other.value == 0.0 for one in found.figures)


def test_the_ranker_of_rows_is_favoured() -> None:
    part = tastes_meet(1_000, seed=5).parts[0]
    own = Chunks((replace(part, score=judged_tastes().scores()),))
    found = compared(judged_tastes(labels=own), judged_tastes(taste_model(knows_tastes=False), own))
    assert found.incomparable is not None
    assert f"100% by {taste_model().model_id}" in found.incomparable
