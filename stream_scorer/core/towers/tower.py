"""Runs a trained tower. No other forward pass serves: customers in the ranker and offers in publish both use it.

A vector depends on its own row alone: its bytes are the same whatever batch the row is in. As BLAS rounds differently
for products of different shapes, the dense layers run in float64 over zero-padded tiles of a fixed height.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from stream_scorer.core.features.spec import FeatureSpec, Floats, Inputs, RowError
from stream_scorer.errors import BadModel

TILE_ROWS = 64

Combine = Literal["concat", "sum"]
Activation = Literal["linear", "relu", "tanh", "maxout"]
Tensors = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Layer:
    """Computes scale · activation(weight @ x + bias); unit k of maxout is the larger of rows 2k and 2k + 1."""

    weight: Floats  # (out, in)
    bias: Floats  # (out,)
    activation: Activation = "linear"
    scale: float = 1.0

    @property
    def units(self) -> int:
        """Width of the output."""
        return len(self.bias) // 2 if self.activation == "maxout" else len(self.bias)


@dataclass(frozen=True, slots=True)
class Embedded:
    """Vectors (B, p), L2-normalised; a zero vector stays zero.

    A row with errors is embedded as if its wrong values were missing.
    """

    vectors: Floats
    errors: tuple[RowError, ...]


@dataclass(frozen=True, slots=True)
class Tower:
    """The arrays of one side's trained tower.

    The table (R, d) is float32, or float64 for towers made elsewhere; a slot's embedding is the mean of its rows.
    `concat` lays the slots' embeddings side by side, `sum` adds them; the number columns follow.
    """

    spec: FeatureSpec
    table: npt.NDArray[Any]
    combine: Combine
    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        """Raise BadModel for arrays that do not fit together."""
        if self.table.ndim != 2 or len(self.table) != self.spec.table_rows:
            raise BadModel(f"the table must have {self.spec.table_rows} rows, got shape {self.table.shape}")
        width = self.width_in
        for number, layer in enumerate(self.layers):
            if layer.weight.shape != (len(layer.bias), width):
                raise BadModel(f"layer {number} must be ({len(layer.bias)}, {width}), got {layer.weight.shape}")
            width = layer.units
        if width < 1:
            raise BadModel("a tower needs at least one input")

    @property
    def width_in(self) -> int:
        """How many numbers the first layer reads for a row."""
        slots = len(self.spec.slots)
        return int(self.table.shape[1]) * (slots if self.combine == "concat" else min(slots, 1)) + self.spec.numbers

    @property
    def dim(self) -> int:
        """Length p of the vectors."""
        return self.layers[-1].units if self.layers else self.width_in

    def embed(self, features: Sequence[Mapping[str, Any]], ids: Sequence[str]) -> Embedded:
        """Embed a batch: the features of B rows, and their ids."""
        inputs = self.spec.encode(features, ids)
        return Embedded(self.forward(inputs), inputs.errors)

    def forward(self, inputs: Inputs) -> Floats:
        """Return the vectors (B, p) of encoded inputs, L2-normalised."""
        return normalised(self.outputs(inputs))

    def outputs(self, inputs: Inputs) -> Floats:
        """Return the last layer's outputs (B, p), before normalisation."""
        rows = len(inputs.numbers)
        hidden = tiled(np.concatenate([self._slots(inputs), inputs.numbers], axis=1))  # (T, 64, in)
        for layer in self.layers:
            hidden = run_layer(layer, hidden)
        return untiled(hidden, rows)

    def _slots(self, inputs: Inputs) -> Floats:
        """Return the slots' embeddings: (B, slots * d), or (B, d) when they are summed."""
        batch, slots, width = len(inputs.numbers), len(self.spec.slots), self.table.shape[1]
        if not slots or not batch:
            return np.zeros((batch, self.width_in - self.spec.numbers))
        looked_up = self.table.take(inputs.rows, axis=0).astype(np.float64)
        # a single table row per slot needs no mean; reduceat is safe, as even a missing value has a table row
        if len(inputs.rows) != len(inputs.starts):
            counts = np.diff(inputs.starts, append=len(inputs.rows))
            looked_up = np.add.reduceat(looked_up, inputs.starts, axis=0) / counts[:, None]
        if self.combine == "concat":
            return looked_up.reshape(batch, slots * width)
        by_slot = looked_up.reshape(batch, slots, width)
        # added slot by slot: a sum over an axis may add in another order for another shape, and round differently
        total = by_slot[:, 0].copy()
        for slot in range(1, slots):
            total += by_slot[:, slot]
        return total

    def tensors(self) -> Tensors:
        """Return the arrays by name; `structure` returns all else."""
        arrays: Tensors = {"table": self.table}
        for number, layer in enumerate(self.layers):
            arrays[f"layers.{number}.weight"] = layer.weight
            arrays[f"layers.{number}.bias"] = layer.bias
        return arrays

    def structure(self) -> dict[str, Any]:
        """Return what is not an array, as JSON values."""
        layers = [{"activation": layer.activation, "scale": layer.scale} for layer in self.layers]
        return {"spec": self.spec.to_json(), "combine": self.combine, "layers": layers}

    @staticmethod
    def from_tensors(structure: Mapping[str, Any], tensors: Mapping[str, npt.NDArray[Any]]) -> "Tower":
        """Rebuild a tower from `structure()` and `tensors()`. Raises BadModel for missing or unfit parts."""
        try:
            layers = tuple(
                Layer(
                    _floats(tensors[f"layers.{number}.weight"]),
                    _floats(tensors[f"layers.{number}.bias"]),
                    one["activation"],
                    float(one["scale"]),
                )
                for number, one in enumerate(structure["layers"])
            )
            spec = FeatureSpec.from_json(structure["spec"])
            return Tower(spec=spec, table=tensors["table"], combine=structure["combine"], layers=layers)
        except KeyError as error:
            raise BadModel(f"the tower lacks {error.args[0]!r}") from error


def normalised(vectors: Floats) -> Floats:
    """Scale rows to length 1; a zero row stays zero."""
    peaks = np.abs(vectors).max(axis=1, keepdims=True, initial=0.0)
    scaled = vectors / np.where(peaks > 0, peaks, 1.0)  # first, so that squares neither overflow nor vanish
    lengths = np.sqrt((scaled * scaled).sum(axis=1, keepdims=True))
    return scaled / np.where(lengths > 0, lengths, 1.0)


def digest_towers(user_tower: Tower, item_tower: Tower) -> str:
    """Return `m-` and 16 hex digits made from everything that decides the two towers' vectors."""
    digest = hashlib.sha256()
    for tower in (user_tower, item_tower):
        digest.update(json.dumps(tower.structure(), sort_keys=True).encode())
        for name, array in sorted(tower.tensors().items()):
            digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
    return f"m-{digest.hexdigest()[:16]}"


def tiled(matrix: Floats) -> Floats:
    """Pad with zero rows to (T, 64, width)."""
    rows, width = matrix.shape
    tiles = -(-rows // TILE_ROWS)
    padded = np.zeros((tiles * TILE_ROWS, width))
    padded[:rows] = matrix
    return padded.reshape(tiles, TILE_ROWS, width)


def untiled(tiles: Floats, rows: int) -> Floats:
    """Return the first rows of (T, 64, width) as (rows, width)."""
    return tiles.reshape(len(tiles) * TILE_ROWS, tiles.shape[2])[:rows]


def run_layer(layer: Layer, hidden: Floats) -> Floats:
    """Apply a layer: (T, 64, in) -> (T, 64, units)."""
    sums = hidden @ layer.weight.T + layer.bias
    match layer.activation:
        case "relu":
            sums = np.maximum(sums, 0.0)
        case "tanh":
            sums = np.tanh(sums)
        case "maxout":
            sums = sums.reshape(*sums.shape[:2], layer.units, 2).max(axis=3)
    return sums * layer.scale if layer.scale != 1.0 else sums


def _floats(array: npt.NDArray[Any]) -> Floats:
    return np.asarray(array, dtype=np.float64)
