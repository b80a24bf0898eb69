"""The kinds of inputs of a tower: numbers and vectors become columns, categories and bags become rows of an embedding table.

Missing is always defined, never NaN. A value of the wrong kind is an error of its row alone, and counts as missing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt
import xxhash

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Values = Sequence[object]

_NUMBERS = {float, int, bool, type(None)}
_BAGS = {list, tuple, type(None)}
_NAME_OF = {str: "string", bool: "bool", int: "number", float: "number", type(None): "null", dict: "object"}


@dataclass(frozen=True, slots=True)
class RowError:
    """Why one row cannot be embedded; `message` names the feature, never its value."""

    index: int
    code: str
    message: str


Errors = dict[int, RowError]  # the first error of a row counts


class Slot(NamedTuple):
    """Rows of the table for one input of a batch."""

    rows: Rows  # of all examples, in order
    counts: Rows | None  # rows per example; None: one each


@dataclass(frozen=True, slots=True)
class Number:
    """(v - mean) * scale, clipped to ±clip; missing is 0, and 1 in a second column if `indicator`; `log` takes sign(v)·log1p|v| first."""

    name: str
    mean: float = 0.0
    scale: float = 1.0
    indicator: bool = False
    log: bool = False
    clip: float | None = None

    @property
    def width(self) -> int:
        """Columns."""
        return 1 + self.indicator

    def columns(self, values: Values, errors: Errors) -> Floats:
        """Return (B, width)."""
        if not _NUMBERS.issuperset(map(type, values)):
            values = [_number_or_none(self.name, index, value, errors) for index, value in enumerate(values)]
        return self._standardised(np.array(values, dtype=np.float64), errors)

    def _standardised(self, raw: Floats, errors: Errors) -> Floats:
        missing = np.isnan(raw)
        for index in np.flatnonzero(np.isinf(raw)).tolist():
            _refuse(errors, index, "feature_kind", f"feature {self.name!r} must be finite")
            missing[index] = True
        raw[missing] = 0.0
        out = np.empty((len(raw), self.width))
        out[:, 0] = _scaled(raw, self.mean, self.scale, log=self.log, clip=self.clip)
        out[missing, 0] = 0.0
        if self.indicator:
            out[:, 1] = missing
        return out


@dataclass(frozen=True, slots=True)
class Vector:
    """A dense vector of fixed length, standardised element by element; missing is zeros, and 1 in a last column if `indicator`."""

    name: str
    means: tuple[float, ...]
    scales: tuple[float, ...]
    indicator: bool = False
    clip: float | None = None

    @property
    def width(self) -> int:
        """Columns."""
        return len(self.means) + self.indicator

    def columns(self, values: Values, errors: Errors) -> Floats:
        """Return (B, width)."""
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
        """Prove it for all at once, which is the usual case."""
        if not {list, tuple}.issuperset(map(type, values)):
            return False
        vectors = cast("Sequence[Sequence[object]]", values)
        if not {len(self.means)}.issuperset(map(len, vectors)) or not {float, int}.issuperset(map(type, chain.from_iterable(vectors))):
            return False
        return bool(np.isfinite(np.array(vectors, dtype=np.float64)).all())

    def _fits(self, index: int, value: object, errors: Errors) -> bool:
        if not isinstance(value, list | tuple) or not {float, int}.issuperset(map(type, value)):
            return _refuse(errors, index, "feature_kind", f"feature {self.name!r} must be a list of numbers, got {_kind(value)}")
        if len(value) != len(self.means):
            return _refuse(
                errors, index, "feature_vector_length", f"feature {self.name!r} must have {len(self.means)} numbers, got {len(value)}"
            )
        return _finite(value) or _refuse(errors, index, "feature_kind", f"feature {self.name!r} must be finite")


@dataclass(frozen=True, slots=True)
class Category:
    """One value: a string, or a bool. With `from_id` the value is the id of the customer or offer.

    Its rows, from `first`: missing, the vocabulary in order, then `buckets` rows which unseen values share: an unseen value is the
    mean of `hashes` of them. Without buckets an unseen value is a missing one.
    """

    name: str
    vocabulary: tuple[str | bool, ...]
    buckets: int = 0
    hashes: int = 2
    from_id: bool = False

    @property
    def height(self) -> int:
        """Rows of the table."""
        return 1 + len(self.vocabulary) + self.buckets

    @property
    def is_bool(self) -> bool:
        """Whether the values are bools rather than strings."""
        return bool(self.vocabulary) and isinstance(self.vocabulary[0], bool)

    def slot(self, values: Values, known: Mapping[object, int], first: int, errors: Errors) -> Slot:
        """Return the rows of each value."""
        if self.is_bool:
            values = [_bool_or_none(self.name, index, value, errors) for index, value in enumerate(values)]
        try:
            rows = np.array([known.get(value, -1) for value in values], dtype=np.int64)
        except TypeError:  # something unhashable among them
            rows = np.full(len(values), -1, dtype=np.int64)
        unseen = np.flatnonzero(rows < 0).tolist()
        if not unseen:
            return Slot(rows, None)
        hashed = {index: self._unseen(index, values[index], known, first, errors) for index in unseen}
        return _spliced(rows, hashed)

    def _unseen(self, index: int, value: object, known: Mapping[object, int], first: int, errors: Errors) -> tuple[int, ...]:
        if value is None or (isinstance(value, str) and value in known):
            return (known[value],)
        if not isinstance(value, str):
            _refuse(errors, index, "feature_kind", f"feature {self.name!r} must be a string, got {_kind(value)}")
            return (first,)
        return _hashed(self, first, value)


@dataclass(frozen=True, slots=True)
class Bag:
    """A list of strings: the mean over its elements' rows, which are laid out as a category's; empty is missing."""

    name: str
    vocabulary: tuple[str, ...]
    buckets: int = 0
    hashes: int = 2

    @property
    def height(self) -> int:
        """Rows of the table."""
        return 1 + len(self.vocabulary) + self.buckets

    def slot(self, values: Values, known: Mapping[object, int], first: int, errors: Errors) -> Slot:
        """Return the rows of each bag."""
        if not _BAGS.issuperset(map(type, values)):
            values = [_bag_or_none(self.name, index, value, errors) for index, value in enumerate(values)]
        bags = cast("Sequence[Sequence[object] | None]", values)
        missing = [first]
        try:
            lists = [[known.get(element, -1) for element in bag] if bag else missing for bag in bags]
        except TypeError:
            lists = [[-1] if bag else missing for bag in bags]
        flat = np.array([row for rows in lists for row in rows], dtype=np.int64)
        counts = np.array([len(rows) for rows in lists], dtype=np.int64)
        if flat.size and flat.min() < 0:
            owner = np.repeat(np.arange(len(lists)), counts)
            for index in np.unique(owner[flat < 0]).tolist():
                lists[index] = self._unseen(index, bags[index] or (), known, first, errors)
            flat = np.array([row for rows in lists for row in rows], dtype=np.int64)
            counts = np.array([len(rows) for rows in lists], dtype=np.int64)
        return Slot(flat, counts)

    def _unseen(self, index: int, bag: Sequence[object], known: Mapping[object, int], first: int, errors: Errors) -> list[int]:
        if not {str}.issuperset(map(type, bag)):
            wrong = next(element for element in bag if type(element) is not str)
            _refuse(errors, index, "feature_kind", f"feature {self.name!r} must be a list of strings, got one with {_kind(wrong)}")
            return [first]
        rows = [(known[element],) if element in known else _hashed(self, first, cast("str", element)) for element in bag]
        # every element weighs the same, however many rows it has
        most = max(map(len, rows))
        return [row for some in rows for row in (some if len(some) == most else some * most)]


def _spliced(rows: Rows, replaced: Mapping[int, tuple[int, ...]]) -> Slot:
    """Put several rows where one stood."""
    counts = np.ones(len(rows), np.int64)
    for index, several in replaced.items():
        counts[index] = len(several)
    flat = np.repeat(rows, counts)
    starts = np.cumsum(counts) - counts
    for index, several in replaced.items():
        flat[starts[index] : starts[index] + len(several)] = several
    return Slot(flat, counts)


def _hashed(slot: Category | Bag, first: int, value: str) -> tuple[int, ...]:
    if not slot.buckets:
        return (first,)
    start = first + 1 + len(slot.vocabulary)
    return tuple(start + remainder for remainder in _hash_remainders(value, slot.buckets, slot.hashes))


@lru_cache(maxsize=65_536)
def _hash_remainders(value: str, buckets: int, hashes: int) -> tuple[int, ...]:
    data = value.encode("utf-8", "surrogatepass")
    return tuple(xxhash.xxh3_64_intdigest(data, seed) % buckets for seed in range(hashes))


def hashed_rows(slot: Category | Bag, first: int) -> Rows:
    """Return (vocabulary, hashes): the rows that each known value would have if it were unseen; training uses them for id dropout."""
    rows = [_hashed(slot, first, str(value)) for value in slot.vocabulary]
    return np.array(rows, dtype=np.int64).reshape(len(rows), -1)


def _scaled(raw: Floats, mean: Any, scale: Any, *, log: bool, clip: float | None) -> Floats:
    if log:
        raw = np.sign(raw) * np.log1p(np.abs(raw))
    with np.errstate(over="ignore"):  # a product beyond a double is clipped below, or held at its end
        scaled = (raw - mean) * scale
    limit = np.finfo(np.float32).max if clip is None else clip
    return cast("Floats", np.clip(scaled, -limit, limit))


def _refuse(errors: Errors, index: int, code: str, message: str) -> bool:
    errors.setdefault(index, RowError(index, code, message))
    return False


def _number_or_none(name: str, index: int, value: object, errors: Errors) -> float | None:
    if type(value) not in _NUMBERS:
        _refuse(errors, index, "feature_kind", f"feature {name!r} must be a number, got {_kind(value)}")
        return None
    return cast("float | None", value)


def _bool_or_none(name: str, index: int, value: object, errors: Errors) -> bool | None:
    if value is not None and type(value) is not bool:
        _refuse(errors, index, "feature_kind", f"feature {name!r} must be a bool, got {_kind(value)}")
        return None
    return value


def _bag_or_none(name: str, index: int, value: object, errors: Errors) -> Sequence[object] | None:
    if type(value) not in _BAGS:
        _refuse(errors, index, "feature_kind", f"feature {name!r} must be a list of strings, got {_kind(value)}")
        return None
    return cast("Sequence[object] | None", value)


def _finite(values: Sequence[float]) -> bool:
    return bool(np.isfinite(np.array(values, dtype=np.float64)).all())


def _kind(value: object) -> str:
    """Name a value's kind as JSON does."""
    if isinstance(value, list | tuple):
        return f"a list of {_kind(value[0])}s" if value else "an empty list"
    return _NAME_OF.get(type(value), "other")
