"""A deep learning model of H2O, read from its documented interface or a MOJO, and the Tower that reproduces it.

The model and the Tower read the same encoding: a one-hot of each category, with a slot of its own for missing, unseen
and absent values, then the numbers, standardised or not; a missing number is encoded as 0. Source: h2o-3, Neurons.java
(Input.setInput, Rectifier, Tanh, Maxout) and DeepLearningModel.scoreDeepFeatures.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from stream_scorer.core.features.spec import Category, FeatureSpec, Floats, Input, Number, Side
from stream_scorer.core.towers.tower import Activation, Layer, Tower
from stream_scorer.errors import BadModel

ENCODINGS = ("AUTO", "OneHotInternal")
_DROPOUT = "WithDropout"
_ACTIVATIONS: dict[str, Activation] = {"Rectifier": "relu", "Tanh": "tanh", "Maxout": "maxout"}
_BOOLS = {"false": False, "true": True}


@dataclass(frozen=True, slots=True)
class H2oCategory:
    """An enum column, and its levels in H2O's order."""

    name: str
    levels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class H2oNetwork:
    """What H2O states about a model, in its own terms and order.

    `offsets` gives the first slot of each category, and at the end the number of slots; `norm_mul` and `norm_sub` are
    empty when nothing was standardised. The weights (rows, in) and biases (rows,) are those of the hidden layers, first
    to last; maxout has two rows per unit.
    """

    categories: tuple[H2oCategory, ...]
    numbers: tuple[str, ...]
    offsets: tuple[int, ...]
    norm_mul: tuple[float, ...]
    norm_sub: tuple[float, ...]
    use_all_factor_levels: bool
    activation: str
    dropout: tuple[float, ...]
    encoding: str
    weights: tuple[Floats, ...]
    biases: tuple[Floats, ...]
    version: str

    def __post_init__(self) -> None:
        """Raise BadModel for a model that a Tower cannot reproduce, or whose parts do not fit together."""
        if self.encoding not in ENCODINGS:
            raise BadModel(f"the categorical encoding must be one of {', '.join(ENCODINGS)}, got {self.encoding}")
        if self.activation.removesuffix(_DROPOUT) not in _ACTIVATIONS:
            raise BadModel(
                f"the activation must be one of {', '.join(_ACTIVATIONS)}, with or without dropout, got "
                f"{self.activation}"
            )
        _check_offsets(self)
        _check_norms(self)
        _check_arrays(self)


def tower_of(network: H2oNetwork, *, side: Side, ids: Sequence[str], layer: int = 0) -> Tower:
    """Return the tower that gives H2O's deep features of a hidden layer.

    Columns named in `ids` are the id. Raises BadModel for a layer that the network does not have.
    """
    if not 0 <= layer < len(network.weights):
        raise BadModel(f"the layer must be between 0 and {len(network.weights) - 1}, got {layer}")
    layers = [_layer(network, number) for number in range(layer + 1)]
    width = network.offsets[-1]
    table, first = layers[0].weight[:, :width].T, layers[0]
    numbers = first.weight[:, width:]
    # a one-hot times the weights is a sum of their columns: the columns become the table, the sum passes an identity
    weight = np.concatenate([np.eye(len(first.bias)), numbers], axis=1) if network.categories else numbers
    inputs: tuple[Input, ...] = (*(_category(one, ids) for one in network.categories), *_numbers(network))
    return Tower(
        spec=FeatureSpec(side=side, inputs=inputs),
        table=_table(network, table),
        combine="sum",
        layers=(replace(first, weight=np.ascontiguousarray(weight)), *layers[1:]),
    )


def with_defaults(tower: Tower, defaults: Mapping[str, float]) -> Tower:
    """Make a missing number count as its default, and change nothing else.

    A missing number is encoded as 0. The mean becomes the default, so that 0 means the default, and the bias makes up
    for the shift. Raises BadModel for a default of a number that the tower does not read.
    """
    first, column = tower.layers[0], tower.width_in - tower.spec.numbers
    bias, inputs = first.bias.copy(), list[Input]()
    for one in tower.spec.inputs:
        if isinstance(one, Number) and one.name in defaults:
            bias += first.weight[:, column] * ((defaults[one.name] - one.mean) * one.scale)
            inputs.append(replace(one, mean=defaults[one.name]))
        else:
            inputs.append(one)
        column += one.width if isinstance(one, Number) else 0
    if unknown := set(defaults) - {one.name for one in inputs if isinstance(one, Number)}:
        raise BadModel(f"the {tower.spec.side}s' tower reads no number named {', '.join(sorted(unknown))}")
    return replace(
        tower, spec=replace(tower.spec, inputs=tuple(inputs)), layers=(replace(first, bias=bias), *tower.layers[1:])
    )


def defaults_of(tower: Tower) -> dict[str, float]:
    """Return, by name, the value as which a missing number counts."""
    return {one.name: one.mean for one in tower.spec.inputs if isinstance(one, Number)}


def probes(tower: Tower, *, levels_max: int = 1_000, spread: float = 3.0) -> tuple[list[dict[str, Any]], list[str]]:
    """Return features and ids that try each level, and each number well below and above its mean, all else missing.

    At most `levels_max` levels of a category are tried; numbers are tried `spread` standardised units from the mean.
    """
    features: list[dict[str, Any]] = [{}]
    # no real id is this: the contract refuses NUL
    ids = ["\x00missing"]
    for one in tower.spec.inputs:
        if isinstance(one, Category):
            values = one.vocabulary[:levels_max]
            features += [{} if one.from_id else {one.name: value} for value in values]
            ids += [str(value) if one.from_id else "\x00missing" for value in values]
        elif isinstance(one, Number) and one.scale:
            features += [{one.name: one.mean + sign * spread / one.scale} for sign in (-1, 1)]
            ids += ["\x00missing"] * 2
    return features, ids


def check_not_dead(name: str, tower: Tower, features: Sequence[Mapping[str, Any]], ids: Sequence[str]) -> int:
    """Return how many vectors are zero. Raises BadModel when all are, since the tower cannot tell inputs apart then."""
    alive = np.abs(tower.embed(features, ids).vectors).max(axis=1) > 0
    if not alive.any():
        raise BadModel(f"the {name} is dead: all of {len(alive)} vectors are zero")
    return int((~alive).sum())


def _check_offsets(network: H2oNetwork) -> None:
    # missing values have a slot; H2O makes up for it by leaving out the first level's, unless all levels are used
    spare = 1 if network.use_all_factor_levels else 0
    expected = [len(one.levels) + spare for one in network.categories]
    found = [after - before for before, after in pairwise(network.offsets)]
    if network.offsets[:1] != (0,) or found != expected:
        raise BadModel(f"categories must be {expected} slots wide, the offsets are {list(network.offsets)}")


def _check_norms(network: H2oNetwork) -> None:
    for name, norm in (("norm_mul", network.norm_mul), ("norm_sub", network.norm_sub)):
        if len(norm) not in (0, len(network.numbers)) or not np.isfinite(norm).all():
            raise BadModel(f"{name} must be empty or {len(network.numbers)} finite numbers, got {list(norm)}")
    if len(network.norm_mul) != len(network.norm_sub):
        raise BadModel(f"norm_mul has {len(network.norm_mul)} numbers, norm_sub {len(network.norm_sub)}")


def _check_arrays(network: H2oNetwork) -> None:
    width, per_unit = network.offsets[-1] + len(network.numbers), 2 if network.activation.startswith("Maxout") else 1
    if not len(network.weights) == len(network.biases) == len(network.dropout) > 0:
        raise BadModel(
            f"{len(network.weights)} layers of weights, {len(network.biases)} of biases, "
            f"{len(network.dropout)} dropout ratios"
        )
    for number, (weight, bias) in enumerate(zip(network.weights, network.biases, strict=True)):
        if weight.shape != (len(bias), width) or len(bias) % per_unit:
            raise BadModel(
                f"layer {number} must have {width} weights per row, got shape {weight.shape} and {len(bias)} biases"
            )
        if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
            raise BadModel(f"layer {number} has weights that are not finite")
        width = len(bias) // per_unit


def _layer(network: H2oNetwork, number: int) -> Layer:
    weight, bias = network.weights[number], network.biases[number]
    activation = _ACTIVATIONS[network.activation.removesuffix(_DROPOUT)]
    if activation == "maxout":
        # H2O interleaves the two rows of a unit number by number, where a Layer has them below each other
        units, width = len(bias) // 2, weight.shape[1]
        weight = weight.reshape(units, width, 2).transpose(0, 2, 1).reshape(2 * units, width)
    # H2O does not scale up what dropout leaves in training, so outputs must be scaled down here
    scale = 1.0 - network.dropout[number] if network.activation.endswith(_DROPOUT) else 1.0
    return Layer(np.asarray(weight, np.float64), np.asarray(bias, np.float64), activation, scale)


def _category(category: H2oCategory, ids: Sequence[str]) -> Category:
    from_id = category.name in ids
    # H2O made text levels of a column of bools, but features carry bools
    if not from_id and category.levels and all(level.lower() in _BOOLS for level in category.levels):
        return Category(category.name, tuple(_BOOLS[level.lower()] for level in category.levels))
    return Category(category.name, category.levels, from_id=from_id)


def _numbers(network: H2oNetwork) -> list[Number]:
    if not network.norm_mul:
        return [Number(name) for name in network.numbers]
    norms = zip(network.numbers, network.norm_sub, network.norm_mul, strict=True)
    return [Number(name, mean=sub, scale=mul) for name, sub, mul in norms]


def _table(network: H2oNetwork, columns: Floats) -> Floats:
    """Return a table row per value (R, d): for each category, the missing value's and then the levels'."""
    zero = np.zeros((1, columns.shape[1]))
    parts = [zero[:0]]
    for start, end in pairwise(network.offsets):
        parts.append(columns[end - 1 : end])
        if not network.use_all_factor_levels:
            parts.append(zero)  # the first level has no slot, and so adds nothing
        parts.append(columns[start : end - 1])
    return np.concatenate(parts)
