"""Towers come back from what was stored, or are refused in a sentence before they embed anything."""

import copy
from collections.abc import Callable
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from stream_scorer.core.features.spec import FeatureSpec, Number
from stream_scorer.core.towers.stored_towers import tower_from
from stream_scorer.core.towers.tower import Layer, Tower
from stream_scorer.errors import BadModel
from tests.release_samples import tower

Parts = tuple[dict[str, Any], dict[str, Any]]
Damage = Callable[[dict[str, Any], dict[str, Any]], object]


def parts() -> Parts:
    made = tower("customer", 1)
    structure: dict[str, Any] = copy.deepcopy(made.structure())
    return structure, {name: array.copy() for name, array in made.tensors().items()}


def test_a_tower_comes_back_as_it_was() -> None:
    assert tower_from(*parts()).structure() == tower("customer", 1).structure()


def put(path: str, value: object) -> Damage:
    """Put a value into the structure, at a path of names and places."""

    def damage(structure: Any, _: dict[str, Any]) -> None:
        *way, last = [int(step) if step.isdigit() else step for step in path.split(".")]
        for step in way:
            structure = structure[step]
        structure[last] = value

    return damage


def nan(_: dict[str, Any], tensors: dict[str, Any]) -> None:
    tensors["layers.0.weight"][0, 0] = np.nan


def tensor(name: str, array: object) -> Damage:
    return lambda _, tensors: tensors.update({name: array})


def wide_table(structure: dict[str, Any], tensors: dict[str, Any]) -> None:
    structure["spec"]["inputs"] = structure["spec"]["inputs"][1:] * 2
    tensors["table"] = np.zeros((14, 2**19 + 1), np.float16)
    tensors["layers.0.weight"] = np.zeros((4, 2**20 + 2), np.float16)


def wide_layer(structure: dict[str, Any], tensors: dict[str, Any]) -> None:
    """Two layers, the inner one of 65,537 units that read nothing."""
    structure["spec"]["inputs"], structure["layers"] = [], structure["layers"] * 2
    tensors["table"] = np.zeros((0, 0), np.float32)
    for number, shape in enumerate([(65_537, 0), (1, 65_537)]):
        tensors[f"layers.{number}.weight"] = np.zeros(shape, np.float16)
        tensors[f"layers.{number}.bias"] = np.zeros(shape[0], np.float16)


DAMAGES = {
    "a layer may have 65536 units, got 65537": wide_layer,
    "the first layer may read 1048576 numbers, got 1048578": wide_table,
    "1 of 16 numbers of layers.0.weight are not finite": nan,
    "the tower lacks 'layers'": lambda structure, _: structure.pop("layers"),
    "the tower lacks 'table'": lambda _, tensors: tensors.pop("table"),
    "table must hold floating-point numbers": tensor("table", np.zeros((9, 3), np.int64)),
    "table must have": tensor("table", np.zeros((9,), np.float32)),
    "at most 2147483648 a side": tensor("table", np.zeros((0, 2**40), np.float32)),
    "an activation must be one of": put("layers.0.activation", "sigmoid"),
    "combine must be one of": put("combine", "stack"),
    "must have 1 to 64 hashes": put("spec.inputs.1.hashes", 10**9),
    "got shape": put("spec.inputs.1.buckets", 10**12),
    "cannot be rebuilt": put("layers.0.scale", "much"),
    "cannot be": put("spec.inputs.0.mean", "mean"),
    "not all of them finite": put("layers.0.scale", float("inf")),
}


@pytest.mark.parametrize("reason", DAMAGES)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_damaged_tower_has_its_reason(reason: str) -> None:
    structure, tensors = parts()
    DAMAGES[reason](structure, tensors)
    with pytest.raises(BadModel, match=reason):
        tower_from(structure, tensors)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
PLACES = ["spec", "spec.side", "spec.inputs", "layers", "combine", "given", "program", "otherwise"] + [
    f"{place}.{name}"
    for place, names in {
        "spec.inputs.0": ("kind", "name", "mean", "scale", "clip", "log", "indicator", "more"),
        "spec.inputs.1": ("kind", "name", "vocabulary", "buckets", "hashes", "from_id"),
        "layers.0": ("activation", "scale"),
    }.items()
    for name in names
]


@hypothesis.given(st.sampled_from(PLACES), JSON)
@hypothesis.settings(max_examples=300)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_any_structure_is_rebuilt_or_refused(place: str, value: object) -> None:
    structure, tensors = parts()
    put(place, value)(structure, tensors)
    try:
        made = tower_from(structure, tensors)
    except BadModel:
        return
    assert np.isfinite(made.embed([{}, {"price": 2.0, "colour": "red"}], ["a", "b"]).vectors).all()


@pytest.mark.parametrize("knots", [(1.0, 1.0), (2.0, 1.0), (-1e308, 1e308)])
def test_knots_that_do_not_rise_are_refused(knots: tuple[float, ...]) -> None:
    spec = FeatureSpec("offer", (Number("price", knots=knots),))
    made = Tower(spec, np.zeros((0, 1), np.float32), "concat", (Layer(np.ones((2, 2)), np.zeros(2)),))
    with pytest.raises(BadModel, match="the knots of 'price' must rise"):
        tower_from(made.structure(), made.tensors())
