"""Inputs of a tower that become rows of an embedding table: categories, and bags of strings.

A missing value has a table row of its own. A value of the wrong kind is an error of its example alone, and counts as
missing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, cast

import numpy as np
import numpy.typing as npt
import xxhash

from stream_scorer.core.features.values import Errors, Values, kind_of, refuse

Rows = npt.NDArray[np.int64]

_BAGS = {list, tuple, type(None)}


class Slot(NamedTuple):
    """The table rows of an input, for all examples of a batch."""

    rows: Rows  # of all examples, in order
    counts: Rows | None  # rows per example; None: a single row each


@dataclass(frozen=True, slots=True)
class Category:
    """A value from a vocabulary: a string or a bool, or with `from_id` the id of the customer or offer.

    With `whole` the values are whole numbers that serve as codes, and the vocabulary lists their decimal texts.

    Its rows of the table begin with that of a missing value. The vocabulary's rows follow in order, and then `buckets`
    rows that unseen values share: an unseen value is the mean of `hashes` of these. Without buckets an unseen value
    counts as missing.
    """

    name: str
    vocabulary: tuple[str | bool, ...]
    buckets: int = 0
    hashes: int = 2
    from_id: bool = False
    whole: bool = False

    @property
    def height(self) -> int:
        """How many rows of the table the input has."""
        return 1 + len(self.vocabulary) + self.buckets

    @property
    def is_bool(self) -> bool:
        """Whether the values are bools rather than strings."""
        return bool(self.vocabulary) and isinstance(self.vocabulary[0], bool)

    def slot(self, values: Values, known: Mapping[object, int], first: int, errors: Errors) -> Slot:
        """Return the table rows of each value; `known` maps values to rows, and `first` is that of a missing value."""
        if self.is_bool:
            values = [_bool_or_none(self.name, index, value, errors) for index, value in enumerate(values)]
        elif self.whole:
            values = [_code_or_none(self.name, index, value, errors) for index, value in enumerate(values)]
        try:
            rows = np.array([known.get(value, -1) for value in values], dtype=np.int64)
        except TypeError:  # a value is unhashable: all are looked at below, which names the wrong one
            rows = np.full(len(values), -1, dtype=np.int64)
        unseen = np.flatnonzero(rows < 0).tolist()
        if not unseen:
            return Slot(rows, None)
        hashed = {index: self._unseen(index, values[index], known, first, errors) for index in unseen}
        return _spliced(rows, hashed)

    def _unseen(
        self, index: int, value: object, known: Mapping[object, int], first: int, errors: Errors
    ) -> tuple[int, ...]:
        if value is None or (isinstance(value, str) and value in known):
            return (known[value],)
        if not isinstance(value, str):
            refuse(errors, index, "feature_kind", f"feature {self.name!r} must be a string, got {kind_of(value)}")
            return (first,)
        return _hashed(self, first, value)


@dataclass(frozen=True, slots=True)
class Bag:
    """A list of strings: the mean over its elements' rows, laid out as those of a Category; empty is missing."""

    name: str
    vocabulary: tuple[str, ...]
    buckets: int = 0
    hashes: int = 2

    @property
    def height(self) -> int:
        """How many rows of the table the input has."""
        return 1 + len(self.vocabulary) + self.buckets

    def slot(self, values: Values, known: Mapping[object, int], first: int, errors: Errors) -> Slot:
        """Return the table rows of each bag; see Category.slot."""
        if not _BAGS.issuperset(map(type, values)):
            values = [_bag_or_none(self.name, index, value, errors) for index, value in enumerate(values)]
        bags = cast("Sequence[Sequence[object] | None]", values)
        missing = [first]
        try:
            lists = [[known.get(element, -1) for element in bag] if bag else missing for bag in bags]
        except TypeError:  # an element is unhashable: all bags are looked at below
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

    def _unseen(
        self, index: int, bag: Sequence[object], known: Mapping[object, int], first: int, errors: Errors
    ) -> list[int]:
        if not {str}.issuperset(map(type, bag)):
            wrong = next(element for element in bag if type(element) is not str)
            refuse(
                errors,
                index,
                "feature_kind",
                f"feature {self.name!r} must be a list of strings, got one with {kind_of(wrong)}",
            )
            return [first]
        rows = [
            (known[element],) if element in known else _hashed(self, first, cast("str", element)) for element in bag
        ]
        # An unseen element has several rows and a known element has one: repeating that makes all weigh the same.
        most = max(map(len, rows))
        return [row for some in rows for row in (some if len(some) == most else some * most)]


def _spliced(rows: Rows, replaced: Mapping[int, tuple[int, ...]]) -> Slot:
    """Replace the single row of some examples by several."""
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
    # A lone surrogate, which a table may contain, must not stop the hash. Each seed gives an independent bucket.
    data = value.encode("utf-8", "surrogatepass")
    return tuple(xxhash.xxh3_64_intdigest(data, seed) % buckets for seed in range(hashes))


def hashed_rows(slot: Category | Bag, first: int) -> Rows:
    """Return (vocabulary, hashes): the rows that each known value would have if it were unseen.

    Training uses them for id dropout.
    """
    rows = [_hashed(slot, first, str(value)) for value in slot.vocabulary]
    return np.array(rows, dtype=np.int64).reshape(len(rows), -1)


def _bool_or_none(name: str, index: int, value: object, errors: Errors) -> bool | None:
    if value is not None and type(value) is not bool:
        refuse(errors, index, "feature_kind", f"feature {name!r} must be a bool, got {kind_of(value)}")
        return None
    return value


def _code_or_none(name: str, index: int, value: object, errors: Errors) -> str | None:
    if type(value) is int or (type(value) is float and value.is_integer()):
        return str(int(value))
    if value is not None and value == value:  # noqa: PLR0124  NaN is how tables write that a number is missing
        refuse(errors, index, "feature_kind", f"feature {name!r} must be a whole number, got {kind_of(value)}")
    return None


def _bag_or_none(name: str, index: int, value: object, errors: Errors) -> Sequence[object] | None:
    if type(value) not in _BAGS:
        refuse(errors, index, "feature_kind", f"feature {name!r} must be a list of strings, got {kind_of(value)}")
        return None
    return cast("Sequence[object] | None", value)
