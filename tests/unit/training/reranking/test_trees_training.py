"""LightGBM's dump of trees as arrays: LightGBM itself is checked against them at each training."""

from typing import Any

import numpy as np
import pytest

from stream_scorer.errors import BadModel
from stream_scorer.training.reranking.prepared import PreparedPairs
from stream_scorer.training.reranking.trees_training import check_parity, exported, values_of
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
