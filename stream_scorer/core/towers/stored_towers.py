"""Rebuilds a tower of any kind from what it was stored as."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from stream_scorer.core.features.spec import FeatureSpec
from stream_scorer.core.towers.given_vectors import GivenTower, GivenVectors
from stream_scorer.core.towers.program_tower import OpenProgram, ProgramTower
from stream_scorer.core.towers.tower import Tower
from stream_scorer.errors import BadModel

Arrays = Mapping[str, npt.NDArray[Any]]


def tower_from(structure: Mapping[str, Any], tensors: Arrays, open_program: OpenProgram | None = None) -> Tower:
    """Rebuild a tower from `structure()` and `tensors()`. Raises BadModel, also for a program that nothing here can open."""
    try:
        if "program" in structure:
            return _program(structure, tensors, open_program)
        if "given" in structure:
            rest = {
                name.removeprefix("otherwise."): array
                for name, array in tensors.items()
                if name.startswith("otherwise.")
            }
            otherwise = tower_from(structure["otherwise"], rest, open_program)
            given = GivenVectors(
                tuple(structure["given"]), np.asarray(tensors["given"], np.float64)
            )  # of length 1 already
            return GivenTower.of_unit(given, otherwise)
    except KeyError as error:
        raise BadModel(f"the tower lacks {error.args[0]!r}") from error
    return Tower.from_tensors(structure, tensors)


def _program(structure: Mapping[str, Any], tensors: Arrays, open_program: OpenProgram | None) -> Tower:
    if open_program is None:
        raise BadModel("the tower is a program, and nothing here runs programs")
    return ProgramTower.of(FeatureSpec.from_json(structure["spec"]), open_program(tensors["program"].tobytes()))
