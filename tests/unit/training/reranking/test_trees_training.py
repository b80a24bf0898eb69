"""LightGBM's dump of trees as arrays, which say what LightGBM itself says."""

import sys
from typing import Any

import numpy as np
import pytest

from stream_scorer.errors import BadModel, UsageError
from stream_scorer.training.reranking.prepared import PreparedPairs
from stream_scorer.training.reranking.trees_training import (
    boosted,
    check_parity,
    exported,
    lightgbm_fault,
    load_lightgbm,
    train_trees,
    values_of,
)
from tests.prepared_samples import prepared_pairs


def leaf(value: float) -> dict[str, Any]:
    return {"leaf_value": value}


def node(feature: int, threshold: float, left: Any, right: Any, kind: str = "<=") -> dict[str, Any]:
    return {
        "split_feature": feature,
        "threshold": threshold,
        "decision_type": kind,
        "left_child": left,
        "right_child": right,
    }


TREE = node(2, 0.5, node(0, 0.0, leaf(1.0), leaf(2.0)), node(3, 0.1, leaf(3.0), leaf(4.0)))


def walked(tree: dict[str, Any], row: np.ndarray) -> float:
    while "leaf_value" not in tree:
        tree = tree["left_child" if row[tree["split_feature"]] <= tree["threshold"] else "right_child"]
    return float(tree["leaf_value"])


def dump(*trees: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"tree_structure": tree} for tree in trees]


@pytest.fixture
def data() -> PreparedPairs:
    return prepared_pairs()


def test_arrays_say_what_a_walk_says(data: PreparedPairs) -> None:
    found = data.scores(exported(dump(TREE, leaf(0.25)), data))
    np.testing.assert_allclose(found, [walked(TREE, row) + 0.25 for row in values_of(data)])
    assert len(np.unique(found)) > 2


@pytest.mark.parametrize("choices", [False, True])
def test_arrays_say_what_lightgbm_says(choices: bool) -> None:
    data = prepared_pairs(choices=choices)
    values = values_of(data)
    booster = boosted(data, values, leaves=8, rounds=20, seed=1)
    ours = data.scores(exported(booster.dump_model()["tree_info"], data))
    np.testing.assert_allclose(ours, booster.predict(values, raw_score=True), atol=1e-6)
    assert len(np.unique(ours)) > 20


def test_the_same_seed_gives_the_same_trees(data: PreparedPairs) -> None:
    one, other = (train_trees(data, leaves=4, rounds=5, seed=1) for _ in range(2))
    assert all((array == other.tensors()[name]).all() for name, array in one.tensors().items())


def test_a_missing_lightgbm_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(UsageError, match=r"pip install 'stream-scorer\[trees\]'"):
        load_lightgbm()
    assert "not installed" in (lightgbm_fault() or "")


def test_an_installed_lightgbm_has_no_fault() -> None:
    assert lightgbm_fault() is None


def test_foreign_conditions_are_refused(data: PreparedPairs) -> None:
    with pytest.raises(BadModel, match="must be <="):
        exported(dump(node(0, 1.0, leaf(0.0), leaf(1.0), "==")), data)


def test_too_many_leaves_are_refused(data: PreparedPairs) -> None:
    tree = leaf(0.0)
    for number in range(16):
        tree = node(0, float(number), leaf(1.0), tree)
    with pytest.raises(BadModel, match="16 leaves"):
        exported(dump(tree), data)


def test_other_scores_are_refused(data: PreparedPairs) -> None:
    reranker = exported(dump(TREE), data)
    with pytest.raises(BadModel, match="differ from LightGBM"):
        check_parity(reranker, data, np.arange(3), data.scores(reranker)[:3] + 1e-3)
