"""A tower that another engine's program computes: it reads our inputs, and its outputs are normalised."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from stream_scorer.core.features.spec import Bag, FeatureSpec, Floats, Inputs
from stream_scorer.core.towers.tower import TILE_ROWS, Tensors, Tower
from stream_scorer.errors import BadModel


class Program(Protocol):
    """What an engine runs. It always runs on 64 rows, so that a vector does not depend on the batch that it is in."""

    @property
    def data(self) -> bytes:
        """The program as its engine stores it."""

    @property
    def dim(self) -> int:
        """Length of its outputs."""

    def run(self, index: npt.NDArray[np.int64], numbers: npt.NDArray[np.float32]) -> Floats:
        """Return outputs (64, p).

        `index` (64, slots) is 0 for a missing category, then 1, 2, … for its vocabulary; `numbers` are (64, n).
        """


OpenProgram = Callable[[bytes], Program]


@dataclass(frozen=True, slots=True)
class ProgramTower(Tower):
    """A tower with a program in place of table and layers; an output that is not finite counts as 0. See Tower."""

    program: Program

    def __post_init__(self) -> None:
        """Raise BadModel for bags and hash buckets, which may give a slot several rows, and where there is no input."""
        if wrong := [one.name for one in self.spec.slots if isinstance(one, Bag) or one.buckets]:
            raise BadModel(f"a program reads numbers, vectors, and categories without buckets, not {', '.join(wrong)}")
        if not self.spec.inputs:
            raise BadModel("a tower needs at least one input")

    @staticmethod
    def of(spec: FeatureSpec, program: Program) -> "ProgramTower":
        """Return the tower that gives these inputs to a program."""
        return ProgramTower(spec, np.zeros((0, 0), np.float32), "concat", (), program)

    @property
    def width_in(self) -> int:
        """How many values the program reads for a row."""
        return len(self.spec.slots) + self.spec.numbers

    @property
    def dim(self) -> int:
        """See Tower.dim."""
        return self.program.dim

    def outputs(self, inputs: Inputs) -> Floats:
        """See Tower.outputs."""
        rows, slots = len(inputs.numbers), len(self.spec.slots)
        # table rows are numbered through all slots, but a program's index starts at 0 in each
        index = inputs.rows.reshape(rows, slots) - np.array(self.spec.first_rows[:-1], np.int64)
        numbers = inputs.numbers.astype(np.float32)
        outputs = np.zeros((rows, self.dim))
        for start in range(0, rows, TILE_ROWS):
            end = min(start + TILE_ROWS, rows)
            made = self.program.run(_padded(index[start:end]), _padded(numbers[start:end]))
            outputs[start:end] = made[: end - start]
        return np.where(np.isfinite(outputs), outputs, 0.0)

    def tensors(self) -> Tensors:
        """See Tower.tensors."""
        return {"program": np.frombuffer(self.program.data, np.uint8)}

    def structure(self) -> dict[str, Any]:
        """See Tower.structure."""
        return {"spec": self.spec.to_json(), "program": {"dim": self.dim}}


def _padded(matrix: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Pad with zero rows to (64, width)."""
    padded = np.zeros((TILE_ROWS, matrix.shape[1]), matrix.dtype)
    padded[: len(matrix)] = matrix
    return padded
