"""Inputs of a tower that become columns: numbers, and vectors of fixed length.

A missing value has an encoding of its own, never NaN. A value of the wrong kind is an error of its row alone, and
counts as missing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from stream_scorer.core.features.text_numbers import PARSERS, Reading
from stream_scorer.core.features.values import Errors, Values, kind_of, refuse

Floats = npt.NDArray[np.float64]

_NUMBERS = {float, int, bool, type(None)}


@dataclass(frozen=True, slots=True)
class Number:
    """A number v, encoded as (v - mean) * scale and clipped to ±clip.

    A missing value is 0, and 1 in a last column if `indicator`. `log` takes sign(v)·log1p|v| first. For each two
    neighbours of `knots`, a further column says how far v has come from the lower to the upper, from 0 to 1, so that a
    linear layer learns a curve of straight pieces (Gorishniy et al. 2022, arXiv:2203.05556); a missing value is 0 in
    these columns, too. `reading` says what the values are: numbers, texts of numbers (a number itself is taken as
    well), or ISO dates, read as days since 1970. Values in `sentinels`, such as -999, stand for a missing value.
    """

    name: str
    mean: float = 0.0
    scale: float = 1.0
    indicator: bool = False
    log: bool = False
    clip: float | None = None
    knots: tuple[float, ...] = ()  # of the raw value, rising
    reading: Reading = "plain"
    sentinels: tuple[float, ...] = ()

    @property
    def width(self) -> int:
        """How many columns the input has."""
        return 1 + self.pieces + self.indicator

    @property
    def pieces(self) -> int:
        """How many columns the knots add: a column between each two neighbours."""
        return max(0, len(self.knots) - 1)

    def columns(self, values: Values, errors: Errors) -> Floats:
        """Return the encoded values (B, width), and note the errors of those that do not fit."""
        if self.reading != "plain":
            values = [self._parsed(index, value, errors) for index, value in enumerate(values)]
        elif not _NUMBERS.issuperset(map(type, values)):
            values = [_number_or_none(self.name, index, value, errors) for index, value in enumerate(values)]
        return self._standardised(np.array(values, dtype=np.float64), errors)

    def _parsed(self, index: int, value: object, errors: Errors) -> float | None:
        if value is None or (self.reading == "text" and type(value) in {float, int}):
            return cast("float | None", value)
        number = PARSERS[self.reading](value) if isinstance(value, str) else None
        if number is None:
            meant = "a number, or its text" if self.reading == "text" else "an ISO date such as 2024-05-31"
            other = ", got another text" if isinstance(value, str) else f", got {kind_of(value)}"
            refuse(errors, index, "feature_kind", f"feature {self.name!r} must be {meant}{other}")
        return number

    def _standardised(self, raw: Floats, errors: Errors) -> Floats:
        missing = np.isnan(raw)
        for index in np.flatnonzero(np.isinf(raw)).tolist():
            refuse(errors, index, "feature_kind", f"feature {self.name!r} must be finite")
            missing[index] = True
        if self.sentinels:
            missing |= np.isin(raw, self.sentinels)
        raw[missing] = 0.0
        out = np.empty((len(raw), self.width))
        out[:, 0] = _scaled(raw, self.mean, self.scale, log=self.log, clip=self.clip)
        if self.pieces:
            out[:, 1 : 1 + self.pieces] = _between(raw, np.array(self.knots))
        out[missing] = 0.0
        if self.indicator:
            out[:, -1] = missing
        return out


@dataclass(frozen=True, slots=True)
class Vector:
    """A dense vector of fixed length, standardised element by element.

    A missing value is all zeros, and 1 in a last column if `indicator`.
    """

    name: str
    means: tuple[float, ...]
    scales: tuple[float, ...]
    indicator: bool = False
    clip: float | None = None

    @property
    def width(self) -> int:
        """How many columns the input has."""
        return len(self.means) + self.indicator

    def columns(self, values: Values, errors: Errors) -> Floats:
        """Return the encoded values (B, width), and note the errors of those that do not fit."""
        length = len(self.means)
        good = [index for index, value in enumerate(values) if value is not None]
        if not self._all_fit([values[index] for index in good]):
            good = [index for index in good if self._fits(index, values[index], errors)]
        out = np.zeros((len(values), self.width))
        if self.indicator:
            out[:, -1] = 1.0
            out[good, -1] = 0.0
        if good:
            raw = np.array([values[index] for index in good], dtype=np.float64)
            out[good, :length] = _scaled(raw, np.array(self.means), np.array(self.scales), log=False, clip=self.clip)
        return out

    def _all_fit(self, values: Values) -> bool:
        """Return whether all values fit, which is the usual case and so is checked for all at once."""
        if not {list, tuple}.issuperset(map(type, values)):
            return False
        vectors = cast("Sequence[Sequence[object]]", values)
        if not {len(self.means)}.issuperset(map(len, vectors)) or not {float, int}.issuperset(
            map(type, chain.from_iterable(vectors))
        ):
            return False
        return bool(np.isfinite(np.array(vectors, dtype=np.float64)).all())

    def _fits(self, index: int, value: object, errors: Errors) -> bool:
        if not isinstance(value, list | tuple) or not {float, int}.issuperset(map(type, value)):
            return refuse(
                errors, index, "feature_kind", f"feature {self.name!r} must be a list of numbers, got {kind_of(value)}"
            )
        if len(value) != len(self.means):
            return refuse(
                errors,
                index,
                "feature_vector_length",
                f"feature {self.name!r} must have {len(self.means)} numbers, got {len(value)}",
            )
        return _finite(value) or refuse(errors, index, "feature_kind", f"feature {self.name!r} must be finite")


def logarithm(raw: Floats) -> Floats:
    """Return sign(v)·log1p|v|, which is defined for every number."""
    return np.asarray(np.sign(raw) * np.log1p(np.abs(raw)))


def _scaled(raw: Floats, mean: Any, scale: Any, *, log: bool, clip: float | None) -> Floats:
    if log:
        raw = logarithm(raw)
    with np.errstate(over="ignore"):  # a product too large for a double is infinite, and clipped below
        scaled = (raw - mean) * scale
    limit = np.finfo(np.float32).max if clip is None else clip
    return cast("Floats", np.clip(scaled, -limit, limit))


def _between(raw: Floats, knots: Floats) -> Floats:
    """Return (B, knots - 1): how far each value has come from a knot to the next one."""
    with np.errstate(over="ignore"):  # a distance too large for a double is beyond the knot in any case
        return np.asarray(np.clip((raw[:, None] - knots[:-1]) / np.diff(knots), 0.0, 1.0))


def _number_or_none(name: str, index: int, value: object, errors: Errors) -> float | None:
    if type(value) not in _NUMBERS:
        refuse(errors, index, "feature_kind", f"feature {name!r} must be a number, got {kind_of(value)}")
        return None
    return cast("float | None", value)


def _finite(values: Sequence[float]) -> bool:
    return bool(np.isfinite(np.array(values, dtype=np.float64)).all())
