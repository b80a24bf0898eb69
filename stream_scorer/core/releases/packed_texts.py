"""Texts end to end in one buffer, which processes can share, and lookups in it that make no object per text.

A list of a million short texts takes a hundred bytes of Python objects for each; here a text takes its own bytes and
eight for its place.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import overload

import numpy as np
import xxhash
from numpy.typing import NDArray

from stream_scorer.core.messages import OfferId

Bytes = NDArray[np.uint8]
Bounds = NDArray[np.int64]
Slots = NDArray[np.uint64]
Places = NDArray[np.int64]

_ITERATED_AT_ONCE = 4_096
_ROW_BITS = 32
_ROW_MASK = 2**_ROW_BITS - 1


@dataclass(frozen=True, slots=True, eq=False)
class PackedTexts(Sequence[bytes]):
    """A sequence of N texts; text i is `joined[bounds[i]:bounds[i + 1]]`, unless `changed` has another for row i."""

    joined: Bytes
    bounds: Bounds  # (N + 1,), ascending from 0
    changed: Mapping[int, bytes] = field(default_factory=dict)
    _view: memoryview = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Keep a view: slices of it cost a third of an array's."""
        object.__setattr__(self, "_view", self.joined.data)

    def __len__(self) -> int:
        """Return N."""
        return len(self.bounds) - 1

    @overload
    def __getitem__(self, row: int) -> bytes: ...

    @overload
    def __getitem__(self, row: slice) -> list[bytes]: ...

    def __getitem__(self, row: int | slice) -> bytes | list[bytes]:
        """Return a text, or a list of them for a slice."""
        if isinstance(row, slice):
            return self.take(np.arange(len(self), dtype=np.int64)[row])
        if not -len(self) <= row < len(self):
            raise IndexError(row)
        row %= len(self)
        if (changed := self.changed.get(row)) is not None:
            return changed
        return self._view[self.bounds[row] : self.bounds[row + 1]].tobytes()

    def __iter__(self) -> Iterator[bytes]:
        """Yield all texts, some at a time."""
        for start in range(0, len(self), _ITERATED_AT_ONCE):
            yield from self[start : start + _ITERATED_AT_ONCE]

    def take(self, rows: Places) -> list[bytes]:
        """Return the texts of these rows, which must not be negative."""
        view = self._view
        bounds = zip(self.bounds.take(rows).tolist(), self.bounds.take(rows + 1).tolist(), strict=True)
        texts = [view[start:end].tobytes() for start, end in bounds]
        if self.changed:
            texts = [self.changed.get(row, text) for row, text in zip(rows.tolist(), texts, strict=True)]
        return texts

    def restated(self, rows: Sequence[int], texts: Sequence[bytes]) -> "PackedTexts":
        """Return the same texts with others in these rows; all but those are shared with this sequence."""
        return PackedTexts(self.joined, self.bounds, {**self.changed, **dict(zip(rows, texts, strict=True))})


def pack(texts: Sequence[bytes]) -> tuple[Bytes, Bounds]:
    """Return the texts' bytes and bounds, of which `PackedTexts` is made."""
    bounds = np.zeros(len(texts) + 1, np.int64)
    np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts)), out=bounds[1:])
    return np.frombuffer(b"".join(texts), np.uint8), bounds


@dataclass(frozen=True, slots=True, eq=False)
class PackedIds(Sequence[OfferId]):
    """Offer ids as packed UTF-8."""

    texts: PackedTexts

    def __len__(self) -> int:
        """Return N."""
        return len(self.texts)

    @overload
    def __getitem__(self, row: int) -> OfferId: ...

    @overload
    def __getitem__(self, row: slice) -> list[OfferId]: ...

    def __getitem__(self, row: int | slice) -> OfferId | list[OfferId]:
        """Return an id, or a list of them for a slice."""
        if isinstance(row, slice):
            return [OfferId(text.decode()) for text in self.texts[row]]
        return OfferId(self.texts[row].decode())

    def __iter__(self) -> Iterator[OfferId]:
        """Yield all ids."""
        for text in self.texts:
            yield OfferId(text.decode())

    def take(self, rows: Places) -> list[OfferId]:
        """Return the ids of these rows."""
        return [OfferId(text.decode()) for text in self.texts.take(rows)]


@dataclass(frozen=True, slots=True, eq=False)
class PackedIndex(Mapping[OfferId, int]):
    """The row of each offer id, by a hash table of open addressing over packed ids.

    A slot of `slots` is 0 where it is empty; else its lower half is a row plus 1 and its upper half that of the id's
    hash, so that hardly ever the text of another id is read.
    """

    ids: PackedIds
    slots: Slots  # (S,), S a power of two
    _view: memoryview = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Keep a view: a number of it costs half of an array's."""
        object.__setattr__(self, "_view", self.slots.data)

    def __getitem__(self, offer_id: OfferId) -> int:
        """Return the id's row. Raises KeyError for an id that is not there."""
        text, view = offer_id.encode(), self._view
        hashed, last = xxhash.xxh3_64_intdigest(text), len(view) - 1
        place = hashed & last
        while slot := view[place]:
            row: int = (slot & _ROW_MASK) - 1
            if slot >> _ROW_BITS == hashed >> _ROW_BITS and self.ids.texts[row] == text:
                return row
            place = (place + 1) & last
        raise KeyError(offer_id)

    def __len__(self) -> int:
        """Return N."""
        return len(self.ids)

    def __iter__(self) -> Iterator[OfferId]:
        """Yield all ids."""
        return iter(self.ids)


def slots_of(ids: Sequence[bytes]) -> Slots:
    """Return the hash table of these ids, which must differ, at most half full.

    All ids try their own slot, then those that lost it the next, and so on: an id lies behind full slots alone, which
    is all that a lookup relies on.
    """
    size = 1 << max(1, (2 * len(ids)).bit_length())
    hashes = np.fromiter(map(xxhash.xxh3_64_intdigest, ids), np.uint64, len(ids))
    slots = np.zeros(size, np.uint64)
    entries = (hashes & np.uint64(_ROW_MASK << _ROW_BITS)) | np.arange(1, len(ids) + 1, dtype=np.uint64)
    places = (hashes & np.uint64(size - 1)).astype(np.int64)
    while len(entries):
        free = slots[places] == 0
        slots[places[free]] = entries[free]  # of several for one slot the last stays
        lost = slots[places] != entries
        entries, places = entries[lost], (places[lost] + 1) & (size - 1)
    return slots
