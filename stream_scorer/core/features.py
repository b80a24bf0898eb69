"""Turns feature dicts of one side, customers or offers, into arrays: the only way to do so, in training and in serving.

A spec has inputs of four kinds. Categories and bags become rows of one fused embedding table, numbers and vectors become
columns. Missing is always defined, never NaN. A value of the wrong kind is an error of its row alone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Any, Literal, NamedTuple, cast

import numpy as np
import numpy.typing as npt
import xxhash

from stream_scorer.errors import BadModel

Side = Literal["customer", "offer"]
Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Values = Sequence[object]

_NUMBERS = {float, int, bool, type(None)}
_BAGS = {list, tuple, type(None)}


@dataclass(frozen=True, slots=True)
class RowError:
    """Why one row cannot be embedded; `message` names the feature, never its value."""

    index: int
    code: str
    message: str


Errors = dict[int, RowError]  # the first error of a row counts


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
        good = [index for index, value in enumerate(values) if value is not None and self._fits(index, value, errors)]
        out = np.zeros((len(values), self.width))
        if self.indicator:
            out[:, -1] = 1.0
            out[good, -1] = 0.0
        if good:
            raw = np.array([values[index] for index in good], dtype=np.float64)
            out[good, :length] = _scaled(raw, np.array(self.means), np.array(self.scales), log=False, clip=self.clip)
        return out

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

    def slot(self, values: Values, known: Mapping[object, int], first: int, errors: Errors) -> "_Slot":
        """Return the rows of each value."""
        if self.is_bool:
            values = [_bool_or_none(self.name, index, value, errors) for index, value in enumerate(values)]
        try:
            rows = np.array([known.get(value, -1) for value in values], dtype=np.int64)
        except TypeError:  # something unhashable among them
            rows = np.full(len(values), -1, dtype=np.int64)
        unseen = np.flatnonzero(rows < 0).tolist()
        if not unseen:
            return _Slot(rows, None)
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

    def slot(self, values: Values, known: Mapping[object, int], first: int, errors: Errors) -> "_Slot":
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
        return _Slot(flat, counts)

    def _unseen(self, index: int, bag: Sequence[object], known: Mapping[object, int], first: int, errors: Errors) -> list[int]:
        if not {str}.issuperset(map(type, bag)):
            wrong = next(element for element in bag if type(element) is not str)
            _refuse(errors, index, "feature_kind", f"feature {self.name!r} must be a list of strings, got one with {_kind(wrong)}")
            return [first]
        rows = [(known[element],) if element in known else _hashed(self, first, cast("str", element)) for element in bag]
        # every element weighs the same, however many rows it has
        most = max(map(len, rows))
        return [row for some in rows for row in (some if len(some) == most else some * most)]


Input = Number | Vector | Category | Bag


class _Slot(NamedTuple):
    rows: Rows  # of all examples, in order
    counts: Rows | None  # rows per example; None: one each


@dataclass(frozen=True, slots=True)
class Inputs:
    """A batch as arrays: CSR of table rows, example by example and slot by slot, and number columns.

    Every slot of every example has at least one row, so `np.add.reduceat` over `starts` meets no empty segment. The rows of
    `errors` hold missing values where they are wrong.
    """

    rows: Rows  # (nnz,)
    starts: Rows  # (B * slots,)
    numbers: Floats  # (B, n)
    errors: tuple[RowError, ...]


@dataclass(frozen=True, slots=True)
class FeatureSpec:
    """The inputs of one side, in the order of the arrays."""

    side: Side
    inputs: tuple[Input, ...]
    _known: tuple[dict[object, int], ...] = field(init=False, repr=False, compare=False)
    _firsts: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Lay out the table."""
        firsts = np.concatenate([[0], np.cumsum([slot.height for slot in self.slots], dtype=np.int64)]).tolist()
        known: list[dict[object, int]] = []
        for slot, first in zip(self.slots, firsts, strict=False):
            known.append({None: first} | {value: first + 1 + index for index, value in enumerate(slot.vocabulary)})
        object.__setattr__(self, "_firsts", tuple(firsts))
        object.__setattr__(self, "_known", tuple(known))

    @property
    def slots(self) -> tuple[Category | Bag, ...]:
        """The inputs that have rows in the table."""
        return tuple(one for one in self.inputs if isinstance(one, Category | Bag))

    @property
    def table_rows(self) -> int:
        """Height of the fused table."""
        return self._firsts[-1]

    @property
    def first_rows(self) -> tuple[int, ...]:
        """The first row of each slot, which is the one of a missing value; then the table's height."""
        return self._firsts

    @property
    def numbers(self) -> int:
        """Width of the number columns."""
        return sum(one.width for one in self.inputs if isinstance(one, Number | Vector))

    def encode(self, features: Sequence[Mapping[str, Any]], ids: Sequence[str]) -> Inputs:
        """Turn a batch into arrays, a column at a time."""
        errors: Errors = {}
        slots: list[_Slot] = []
        columns: list[Floats] = []
        for one in self.inputs:
            name = one.name
            if isinstance(one, Category | Bag):
                known, first = self._known[len(slots)], self._firsts[len(slots)]
                values: Values = ids if isinstance(one, Category) and one.from_id else [row.get(name) for row in features]
                slots.append(one.slot(values, known, first, errors))
            else:
                columns.append(one.columns([row.get(name) for row in features], errors))
        rows, starts = _interleaved(slots, len(features))
        numbers = np.concatenate(columns, axis=1) if columns else np.zeros((len(features), 0))
        return Inputs(rows, starts, numbers, tuple(errors[index] for index in sorted(errors)))

    def to_json(self) -> dict[str, Any]:
        """Return plain lists and dicts; `from_json` gives the same spec back."""
        return {"side": self.side, "inputs": [{"kind": _KIND_OF[type(one)], **asdict(one)} for one in self.inputs]}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> "FeatureSpec":
        """Raises BadModel for what `to_json` did not write."""
        try:
            return FeatureSpec(side=data["side"], inputs=tuple(_input_from_json(one) for one in data["inputs"]))
        except (KeyError, TypeError) as error:
            raise BadModel(f"the feature spec cannot be read: {error!r}") from error


_KINDS: dict[str, Callable[..., Input]] = {"number": Number, "vector": Vector, "category": Category, "bag": Bag}
_KIND_OF = {made: kind for kind, made in _KINDS.items()}


def _input_from_json(data: Mapping[str, Any]) -> Input:
    fields = {name: tuple(value) if isinstance(value, list) else value for name, value in data.items() if name != "kind"}
    return _KINDS[data["kind"]](**fields)


def _interleaved(slots: Sequence[_Slot], batch: int) -> tuple[Rows, Rows]:
    """Merge the slots' rows, example by example."""
    if all(slot.counts is None for slot in slots):
        rows = np.stack([slot.rows for slot in slots], axis=1).reshape(-1) if slots else np.zeros(0, np.int64)
        return rows, np.arange(batch * len(slots), dtype=np.int64)
    ones = np.ones(batch, np.int64)
    counts = np.stack([ones if slot.counts is None else slot.counts for slot in slots], axis=1)  # (B, slots)
    ends = np.cumsum(counts.reshape(-1))
    starts = ends - counts.reshape(-1)
    rows = np.empty(int(ends[-1]) if batch else 0, np.int64)
    for number, slot in enumerate(slots):
        mine = counts[:, number]
        shift = starts.reshape(batch, len(slots))[:, number] - (np.cumsum(mine) - mine)
        rows[np.repeat(shift, mine) + np.arange(len(slot.rows))] = slot.rows
    return rows, starts


def _spliced(rows: Rows, replaced: Mapping[int, tuple[int, ...]]) -> _Slot:
    """Put several rows where one stood."""
    counts = np.ones(len(rows), np.int64)
    for index, several in replaced.items():
        counts[index] = len(several)
    flat = np.repeat(rows, counts)
    starts = np.cumsum(counts) - counts
    for index, several in replaced.items():
        flat[starts[index] : starts[index] + len(several)] = several
    return _Slot(flat, counts)


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
    return {str: "string", bool: "bool", int: "number", float: "number", type(None): "null", dict: "object"}.get(type(value), "other")
