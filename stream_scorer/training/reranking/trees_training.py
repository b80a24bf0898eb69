"""Trains boosted trees with LightGBM (extra `trees`), and exports them as the re-ranker that serves.

What serves reads plain arrays: whoever can write a store must not reach a parser of models in C++.
"""

from importlib import import_module
from typing import Any

import numpy as np

from stream_scorer.core.datasets.training_set import Places
from stream_scorer.core.features.spec import Floats
from stream_scorer.core.reranking.trees import LEAVES_MAX, Conditions, TreesReranker
from stream_scorer.errors import BadModel, UsageError
from stream_scorer.training.reranking.prepared import PreparedPairs

PARITY_MAX = 1e-6
_ALL_LEAVES = 2**LEAVES_MAX - 1
_GOLDEN = 512


def train_trees(data: PreparedPairs, *, leaves: int, rounds: int, seed: int) -> TreesReranker:
    """Train on prepared pairs; where the log says at which rank an offer stood, LightGBM learns what ranks do.

    Raises UsageError without LightGBM, and BadModel where the export differs from it on golden rows.
    """
    values = values_of(data)
    booster = boosted(data, values, leaves=leaves, rounds=rounds, seed=seed)
    reranker = exported(booster.dump_model()["tree_info"], data)
    golden = np.unique(np.linspace(0, len(values) - 1, _GOLDEN).astype(np.int64))
    theirs = booster.predict(values[golden], raw_score=True)
    check_parity(reranker, data, golden, np.asarray(theirs, np.float64))
    return reranker


def values_of(data: PreparedPairs) -> Floats:
    """Return what the trees read (M, F): the customer's numbers, the offer's, and the pair's columns."""
    pairs = data.pairs
    mine, theirs = pairs.customers.numbers[pairs.customer], pairs.offers.numbers[pairs.offer]
    return np.concatenate([mine.astype(np.float64), theirs.astype(np.float64), data.columns], axis=1)


def boosted(data: PreparedPairs, values: Floats, *, leaves: int, rounds: int, seed: int) -> Any:
    """Return LightGBM's booster, trained on what `values_of` gives."""
    # Any: LightGBM's types are not followed
    lightgbm = load_lightgbm()
    pairs = data.pairs
    ranked = bool(pairs.shown_rank.any())
    parameters = {
        "objective": "lambdarank" if data.choices or ranked else "binary",
        "num_leaves": leaves,
        "learning_rate": 0.05,
        "min_data_in_leaf": 20,
        "lambda_l2": 10.0,
        "feature_fraction": 0.7,
        "use_missing": False,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "seed": seed,
        "verbosity": -1,
    }
    group = np.bincount(pairs.group) if data.choices or ranked else None
    position = pairs.shown_rank if ranked and not data.choices else None
    rows = lightgbm.Dataset(values, pairs.accepted, group=group, position=position)
    return lightgbm.train(parameters, rows, num_boost_round=rounds)


def load_lightgbm() -> Any:
    """Return the module. Raises UsageError, which names what to install, where it is missing or cannot be loaded."""
    # Any: LightGBM's types are not followed
    try:
        import_module("torch")  # brings OpenMP's runtime, which LightGBM's wheels leave to the system
        return import_module("lightgbm")
    except ModuleNotFoundError as error:
        raise UsageError(
            "LightGBM, which trains re-rankers of trees, is not installed: pip install 'stream-scorer[trees]'"
        ) from error
    except (ImportError, OSError) as error:
        raise UsageError(f"LightGBM, which trains re-rankers of trees, cannot be loaded: {error}") from error


def lightgbm_fault() -> str | None:
    """Return why LightGBM cannot be used, None where it can."""
    try:
        load_lightgbm()
    except UsageError as error:
        return str(error)
    return None


def exported(trees: list[dict[str, Any]], data: PreparedPairs) -> TreesReranker:
    """Return LightGBM's dump of trees as arrays. Raises BadModel for trees of a kind that is not known here."""
    nodes: list[tuple[int, int, float, int]] = []
    leaves = np.zeros((len(trees), LEAVES_MAX))
    for number, tree in enumerate(trees):
        values: list[float] = []
        _walk(tree["tree_structure"], number, nodes, values)
        if len(values) > LEAVES_MAX:
            raise BadModel(f"a tree may have {LEAVES_MAX} leaves, got {len(values)}")
        leaves[number, : len(values)] = values
    tree_of, feature, threshold, mask = zip(*nodes, strict=True) if nodes else ((), (), (), ())
    conditions = Conditions(
        np.array(tree_of, np.int64),
        np.array(feature, np.int64),
        np.array(threshold, np.float64),
        np.array(mask, np.uint16),
    )
    return TreesReranker(data.inputs, conditions, leaves)


def _walk(node: dict[str, Any], tree: int, nodes: list[tuple[int, int, float, int]], values: list[float]) -> None:
    """Number the leaves from the left, and note each node with the leaves that are left where it is not met."""
    if "leaf_value" in node:
        values.append(float(node["leaf_value"]))
        return
    if node["decision_type"] != "<=":
        raise BadModel(f"a condition of trees must be <=, got {node['decision_type']!r}")
    first = len(values)
    _walk(node["left_child"], tree, nodes, values)
    # the leaves under the left side are struck out where the value is beyond the threshold
    struck = (1 << len(values)) - (1 << first)
    nodes.append((tree, int(node["split_feature"]), float(node["threshold"]), _ALL_LEAVES & ~struck))
    _walk(node["right_child"], tree, nodes, values)


def check_parity(reranker: TreesReranker, data: PreparedPairs, golden: Places, theirs: Floats) -> None:
    """Raise BadModel where the exported trees differ from what LightGBM says of the golden rows."""
    difference = float(np.abs(data.scores(reranker)[golden] - theirs).max(initial=0.0))
    if not difference <= PARITY_MAX:
        raise BadModel(f"the trees differ from LightGBM by {difference:.2g} on golden rows, at most {PARITY_MAX}")
