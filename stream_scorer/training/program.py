"""Programs of `torch.export` as towers. A ranker imports torch only where its release has such a program.

The archive (.pt2) declares the program's inputs in an extra file, `inputs.json`, in the JSON form of a FeatureSpec's
inputs; torch.export.save writes it with `extra_files={"inputs.json": ...}`. The program takes index, int64 (64, slots),
and numbers, float32 (64, n), or only one of them where it has no inputs of the other kind. It returns (64, p). See
program_archive for what an archive may contain.
"""

import io

import msgspec
import numpy as np
import numpy.typing as npt
import torch

from stream_scorer.core.features.spec import FeatureSpec, Floats, Side
from stream_scorer.core.towers.program_tower import ProgramTower
from stream_scorer.core.towers.tower import TILE_ROWS
from stream_scorer.errors import BadModel
from stream_scorer.training.program_archive import cleaned

INPUTS = "inputs.json"
# What torch raises for an archive that it cannot read or a graph that it cannot build; a RecursionError is a
# RuntimeError.
_UNLOADABLE = (RuntimeError, ValueError, AssertionError, LookupError, TypeError, AttributeError, SyntaxError, OSError)


class TorchProgram:
    """See Program."""

    def __init__(self, data: bytes, module: torch.nn.Module, spec: FeatureSpec) -> None:
        """Run the program once on zeros. Raises BadModel when it fails, or does not return (64, p)."""
        self.data, self.spec = data, spec
        self._module = module
        try:
            made = self.run(
                np.zeros((TILE_ROWS, len(spec.slots)), np.int64), np.zeros((TILE_ROWS, spec.numbers), np.float32)
            )
        except (RuntimeError, TypeError, ValueError, AssertionError, IndexError) as error:
            raise BadModel(f"the program does not run on the inputs that it declares: {error}") from error
        if made.ndim != 2 or len(made) != TILE_ROWS or not made.shape[1]:
            raise BadModel(f"the program must return ({TILE_ROWS}, p), got {made.shape}")
        self.dim = int(made.shape[1])

    @torch.no_grad()
    def run(self, index: npt.NDArray[np.int64], numbers: npt.NDArray[np.float32]) -> Floats:
        """See Program.run."""
        given = [torch.from_numpy(one) for one in (index, numbers) if one.shape[1]]
        return np.asarray(self._module(*given).double().numpy())


def open_program(data: bytes, side: Side = "customer") -> TorchProgram:
    """Open an archive and try its program.

    Raises BadModel for bytes that are no archive, and for an archive that declares no readable inputs, could run code
    on loading, or does not run.
    """
    archive, declared = io.BytesIO(cleaned(data)), {INPUTS: ""}
    try:
        module = torch.export.load(archive, extra_files=declared).module(check_guards=False)
    except _UNLOADABLE as error:
        raise BadModel(f"the program cannot be loaded: {error}") from error
    return TorchProgram(data, module, _declared(declared[INPUTS], side))


def program_tower(data: bytes, side: Side) -> ProgramTower:
    """Return the tower of an archive; it raises as open_program does."""
    program = open_program(data, side)
    return ProgramTower.of(program.spec, program)


def _declared(text: str, side: Side) -> FeatureSpec:
    try:
        return FeatureSpec.from_json(
            {**msgspec.json.decode(text or "{}", type=dict[str, list[dict[str, object]]]), "side": side}
        )
    except msgspec.DecodeError as error:
        raise BadModel(f"{INPUTS} of the program cannot be read: {error}") from error
