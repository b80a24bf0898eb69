"""Rebuilds a tower of any kind from its stored parts, and tries it, so that a tower that is returned can embed."""

from collections.abc import Mapping
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from stream_scorer.core.features.spec import Bag, Category, FeatureSpec, Input, Number, Vector
from stream_scorer.core.features.text_numbers import Reading
from stream_scorer.core.towers.given_vectors import GivenTower, GivenVectors
from stream_scorer.core.towers.program_tower import OpenProgram, ProgramTower
from stream_scorer.core.towers.tower import Activation, Combine, Tower
from stream_scorer.errors import BadModel, ClosedProgram

Arrays = Mapping[str, npt.NDArray[Any]]

HASHES_MAX = 64
DIM_MAX = 65_536
WIDTH_IN_MAX = 2**20  # more than the numbers that a record of the contract can carry
_SIDE_MAX = 2**31  # of an array's shape: an array without numbers may claim any length of its other sides
_UNSEEN = "\N{REPLACEMENT CHARACTER}"  # hardly any vocabulary has it

# what building or trying a tower raises when its parts do not fit together: anybody may have written them
_UNFIT = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError, MemoryError)


def tower_from(structure: Mapping[str, Any], tensors: Arrays, open_program: OpenProgram | None = None) -> Tower:
    """Rebuild a tower from `structure()` and `tensors()`.

    Raises BadModel for parts that make no tower, for a tower that does not give finite vectors, and for a program that
    nothing here can open.
    """
    _check_arrays(tensors)
    try:
        tower = _built(structure, tensors, open_program)
        _check_structure(tower)
        _try(tower)
    except KeyError as error:
        raise BadModel(f"the tower lacks {error.args[0]!r}") from error
    except _UNFIT as error:
        raise BadModel(f"the tower cannot be rebuilt: {error!r}") from error
    return tower


def _built(structure: Mapping[str, Any], tensors: Arrays, open_program: OpenProgram | None) -> Tower:
    if "program" in structure:
        return _program(structure, tensors, open_program)
    if "given" not in structure:
        return Tower.from_tensors(structure, tensors)
    rest = {name.removeprefix("otherwise."): array for name, array in tensors.items() if name.startswith("otherwise.")}
    otherwise = _built(structure["otherwise"], rest, open_program)
    # the vectors were normalised before they were stored: doing it again could change their last bits
    given = GivenVectors(tuple(structure["given"]), np.asarray(tensors["given"], np.float64))
    return GivenTower.of_unit(given, otherwise)


def _program(structure: Mapping[str, Any], tensors: Arrays, open_program: OpenProgram | None) -> Tower:
    if open_program is None:
        raise ClosedProgram("the tower is a program, and nothing here runs programs")
    return ProgramTower.of(FeatureSpec.from_json(structure["spec"]), open_program(tensors["program"].tobytes()))


def _check_arrays(tensors: Arrays) -> None:
    for name, array in tensors.items():
        if array.dtype.kind != "f" and array.dtype != np.uint8:
            raise BadModel(f"{name} must hold floating-point numbers, got {array.dtype}")
        if max(array.shape, default=0) > _SIDE_MAX:
            raise BadModel(f"{name} has shape {array.shape}, at most {_SIDE_MAX} a side")
        if array.dtype.kind == "f" and (wrong := array.size - np.count_nonzero(np.isfinite(array))):
            raise BadModel(f"{wrong} of {array.size} numbers of {name} are not finite")


def _check_structure(tower: Tower) -> None:
    """Raise BadModel for values that would pass for others, or would take time and memory without bound."""
    if not 1 <= tower.dim <= DIM_MAX:
        raise BadModel(f"vectors must have 1 to {DIM_MAX} numbers, got {tower.dim}")
    # tiles have 64 rows of float64, so each number of width costs 512 bytes, however few bytes are stored
    if tower.width_in > WIDTH_IN_MAX:
        raise BadModel(f"the first layer may read {WIDTH_IN_MAX} numbers, got {tower.width_in}")
    if tower.combine not in get_args(Combine):
        raise BadModel(f"combine must be one of {', '.join(get_args(Combine))}, got {tower.combine!r}")
    for layer in tower.layers:
        if layer.units > DIM_MAX:
            raise BadModel(f"a layer may have {DIM_MAX} units, got {layer.units}")
        if layer.activation not in get_args(Activation):
            raise BadModel(f"an activation must be one of {', '.join(get_args(Activation))}, got {layer.activation!r}")
    check_inputs(tower.spec)


def check_inputs(spec: FeatureSpec) -> None:
    """Raise BadModel for inputs that would take time without bound, divide by zero, or be read in an unknown way."""
    for slot in spec.slots:
        if not 1 <= slot.hashes <= HASHES_MAX or slot.buckets < 0:
            raise BadModel(f"{slot.name!r} must have 1 to {HASHES_MAX} hashes, got {slot.hashes}")
    for each in spec.inputs:
        if not isinstance(each, Number):
            continue
        if each.pieces and not _rise(each.knots):
            raise BadModel(f"the knots of {each.name!r} must rise by finite steps")
        if each.reading not in get_args(Reading):
            raise BadModel(f"{each.name!r} must be read as {', '.join(get_args(Reading))}, got {each.reading!r}")


def _rise(knots: tuple[float, ...]) -> bool:
    # the difference of two finite numbers may overflow: that is refused below, not warned about
    with np.errstate(over="ignore"):
        steps = np.diff(np.array(knots, np.float64))
    return bool(((steps > 0) & np.isfinite(steps)).all())


def _try(tower: Tower) -> None:
    """Embed a row without features and a row with all, as the first request would. Raises BadModel for bad vectors."""
    vectors = tower.embed(*trial_rows(tower.spec)).vectors
    if vectors.shape != (2, tower.dim) or not np.isfinite(vectors).all():
        raise BadModel(f"vectors must be (2, {tower.dim}) finite numbers, got {vectors.shape}, not all of them finite")


def trial_rows(spec: FeatureSpec) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the features and the ids of two rows, one without features and one with all."""
    return [{}, {each.name: _sample(each) for each in spec.inputs}], ["", _UNSEEN]


def _sample(each: Input) -> object:
    match each:
        case Number():
            return "2024-05-31" if each.reading == "date" else 1.0
        case Vector():
            return [1.0] * len(each.means)
        case Category():
            return each.vocabulary[0] if each.is_bool else 1 if each.whole else _UNSEEN
        case Bag():
            return [_UNSEEN]
