"""The catalog: all offers of a release, as columns.

A row is an offer. Rows are sorted by offer id (by code point, which is also the order of the UTF-8 bytes), so that of
two offers with the same score the lower row has the lower id.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar, cast, runtime_checkable

import msgspec
import numpy as np
from numpy.typing import NDArray

from stream_scorer.core.messages import Offer, OfferId, ReleaseId
from stream_scorer.core.releases.change import OfferChange
from stream_scorer.core.releases.offer_index import IndexCover, OfferIndex, cover_of
from stream_scorer.core.releases.packed_texts import PackedTexts
from stream_scorer.errors import BadModel

Vectors = NDArray[np.float32]
Flags = NDArray[np.bool_]
Millis = NDArray[np.int64]
Rows = NDArray[np.int64]

Made = TypeVar("Made")

ALWAYS_MS, NEVER_MS = np.iinfo(np.int64).min, np.iinfo(np.int64).max

LENGTH_MAX = 1.001  # rounding may make a normalised vector slightly longer than 1; a zero vector stays zero

_encode = msgspec.json.Encoder().encode


class OfOneModel:
    """What a part of one model makes by `Catalog.once`: catalogs of other models have no use for it."""

    __slots__ = ()


@runtime_checkable
class FollowsChanges(Protocol):
    """What makes a part of a catalog by `Catalog.once`, and brings it up to date when few offers change."""

    def followed(self, made: object, catalog: "Catalog", rows: Rows) -> object:
        """Return what it makes of the catalog, given what it made before these rows were restated."""


@dataclass(frozen=True, slots=True, eq=False)
class SharedVectors:
    """Vectors as they were published, in memory that processes of a machine share, and how to change some alone.

    `again` returns them as an array of its own, writable, of which only the pages that are written take memory.
    """

    again: Callable[[], Vectors]
    changed: Rows  # whose vectors may no longer be the published ones

    def restated(self, vectors: Vectors, rows: Rows, stated: Vectors) -> tuple["SharedVectors", Vectors]:
        """Return `vectors`, which these and `changed` are, with those of `rows` replaced."""
        written = self.again()
        written[self.changed] = vectors[self.changed]
        written[rows] = stated
        return SharedVectors(self.again, np.union1d(self.changed, rows)), written


@dataclass(frozen=True, slots=True, eq=False)
class Catalog:
    """Offers as columns of N rows. Made by `of`, `from_columns` and `with_changes`, which sort and check them.

    Ids, features and the index are lists and a dict, or packed where processes share them.
    """

    release_id: ReleaseId
    offer_ids: Sequence[OfferId]
    vectors: Vectors  # (N, p), rows contiguous
    fragments: Sequence[bytes]  # each offer's features, a JSON object
    active: Flags  # (N,)
    valid_from_ms: Millis  # (N,), inclusive, ALWAYS_MS where open
    valid_until_ms: Millis  # (N,), exclusive, NEVER_MS where open
    index: Mapping[OfferId, int]  # offer id -> row
    derived: dict[object, object] = field(default_factory=dict, repr=False)  # results of `once`, by function
    nearest: OfferIndex | None = field(default=None, repr=False)  # over the offers as they were published
    shared: SharedVectors | None = field(default=None, repr=False)  # None: all memory is this process's own

    def __len__(self) -> int:
        """Return N."""
        return len(self.offer_ids)

    @property
    def dim(self) -> int:
        """Return p."""
        return int(self.vectors.shape[1])

    def once(self, make: Callable[["Catalog"], Made]) -> Made:
        """Return `make(self)`, which is called on first use and whose result is kept with the catalog.

        Two threads may both call it, which does no harm: the results are equal.
        """
        if make not in self.derived:
            self.derived[make] = make(self)
        return cast("Made", self.derived[make])

    def indexed_by(self, nearest: OfferIndex | None) -> "Catalog":
        """Return the same catalog with this index, or with none."""
        return replace(self, nearest=nearest, derived={})

    def make_ready_like(self, other: "Catalog") -> None:
        """Make now what the other catalog has made with `once`, so that nobody waits once this catalog replaces it."""
        for make in list(other.derived):
            if not isinstance(make, OfOneModel):
                self.once(cast("Callable[[Catalog], object]", make))

    @classmethod
    def of(cls, release_id: ReleaseId, offers: Sequence[Offer], vectors: Vectors) -> "Catalog":
        """Return the catalog of offers and their vectors, (N, p) in the offers' order. See from_columns for errors."""
        return cls.from_columns(
            release_id,
            offer_ids=[OfferId(offer.offer_id) for offer in offers],
            vectors=vectors,
            fragments=[_encode(offer.features) for offer in offers],
            active=np.array([offer.active for offer in offers], bool),
            valid_from_ms=_bounds([offer.valid_from_ms for offer in offers], ALWAYS_MS),
            valid_until_ms=_bounds([offer.valid_until_ms for offer in offers], NEVER_MS),
        )

    @classmethod
    def from_columns(
        cls,
        release_id: ReleaseId,
        *,
        offer_ids: list[OfferId],
        vectors: Vectors,
        fragments: list[bytes],
        active: Flags,
        valid_from_ms: Millis,
        valid_until_ms: Millis,
    ) -> "Catalog":
        """Return the catalog of these columns, whose rows may be in any order, the same in all.

        Raises BadModel for columns of unequal length, repeated ids, and vectors that are longer than 1 or not finite.
        """
        # usually sorted already: then nothing needs a copy
        order = sorted(range(len(offer_ids)), key=offer_ids.__getitem__)
        if order != list(range(len(order))):
            offer_ids = [offer_ids[row] for row in order]
            fragments = [fragments[row] for row in order]
            vectors, active = vectors[order], active[order]
            valid_from_ms, valid_until_ms = valid_from_ms[order], valid_until_ms[order]
        index = dict(zip(offer_ids, range(len(offer_ids)), strict=True))
        vectors = np.ascontiguousarray(vectors, np.float32)
        _check(index, offer_ids, vectors, (fragments, active, valid_from_ms, valid_until_ms))
        return cls(release_id, offer_ids, vectors, fragments, active, valid_from_ms, valid_until_ms, index)

    def with_changes(self, changes: Sequence[OfferChange]) -> "Catalog":
        """Return a catalog with the changes applied; of several changes of an offer the last counts.

        Raises BadModel for a vector of another length than the catalog's.
        """
        last = {change.offer_id: change for change in changes}
        stated = [(change.offer, change.vector) for change in last.values() if change.offer is not None]
        if wrong := [offer.offer_id for offer, vector in stated if len(vector) != 4 * self.dim]:
            raise BadModel(f"{len(wrong)} changed offers have no vector of {self.dim} numbers, the first {wrong[0]}")
        vectors = np.frombuffer(b"".join(vector for _, vector in stated), np.float32).reshape(len(stated), self.dim)
        withdrawn = [change.offer_id for change in last.values() if change.offer is None]
        return self.merged(Catalog.of(self.release_id, [offer for offer, _ in stated], vectors), withdrawn=withdrawn)

    def merged(self, stated: "Catalog", *, withdrawn: Sequence[OfferId]) -> "Catalog":
        """Return a catalog without the withdrawn offers, and with the stated offers added or replacing their ids'."""
        gone = [self.index[offer_id] for offer_id in withdrawn if offer_id in self.index]
        restated = [self.index[offer_id] for offer_id in stated.offer_ids if offer_id in self.index]
        if not gone and len(restated) == len(stated):
            return self._restated(stated, restated)
        stays = np.ones(len(self), bool)
        stays[gone + restated] = False
        kept = np.flatnonzero(stays).tolist()
        merged = Catalog.from_columns(
            self.release_id,
            offer_ids=[*_taken(self.offer_ids, kept), *stated.offer_ids],
            vectors=np.concatenate([self.vectors[stays], stated.vectors]),
            fragments=[*_taken(self.fragments, kept), *stated.fragments],
            active=np.concatenate([self.active[stays], stated.active]),
            valid_from_ms=np.concatenate([self.valid_from_ms[stays], stated.valid_from_ms]),
            valid_until_ms=np.concatenate([self.valid_until_ms[stays], stated.valid_until_ms]),
        )
        return merged.indexed_by(self.nearest)  # in memory of this process's own

    def _restated(self, stated: "Catalog", places: Sequence[int]) -> "Catalog":
        """Return a catalog of the same ids, which it shares with this: by far the cheapest change, and the usual."""
        rows = np.array(places, np.int64)
        shared, vectors = self.shared, self.vectors
        if shared is None:
            vectors = _with_rows(vectors, rows, stated.vectors)
        else:
            shared, vectors = shared.restated(vectors, rows, stated.vectors)
        changed = replace(
            self,
            vectors=vectors,
            fragments=_restated_texts(self.fragments, places, stated.fragments),
            active=_with_rows(self.active, rows, stated.active),
            valid_from_ms=_with_rows(self.valid_from_ms, rows, stated.valid_from_ms),
            valid_until_ms=_with_rows(self.valid_until_ms, rows, stated.valid_until_ms),
            shared=shared,
            derived={},
        )
        for make, made in list(self.derived.items()):
            if isinstance(make, FollowsChanges):
                changed.derived[make] = make.followed(made, changed, rows)
        return changed


Column = TypeVar("Column", Vectors, Flags, Millis)
Each = TypeVar("Each")


def _with_rows(column: Column, rows: Rows, stated: Column) -> Column:
    """Return the column with these rows replaced: the same array where that changes nothing, else a copy."""
    if np.array_equal(column[rows], stated):
        return column
    written: Column = column.copy()
    written[rows] = stated
    return written


def _restated_texts(texts: Sequence[bytes], rows: Sequence[int], stated: Sequence[bytes]) -> Sequence[bytes]:
    if isinstance(texts, PackedTexts):
        return texts.restated(rows, stated)
    written = list(texts)
    for row, text in zip(rows, stated, strict=True):
        written[row] = text
    return written


def _taken(values: Sequence[Each], rows: Sequence[int]) -> list[Each]:
    # of packed texts one by one would take ten times as long as all
    values = values if isinstance(values, list) else list(values)
    return [values[row] for row in rows]


ShareCatalog = Callable[[ReleaseId, str, Callable[[], Catalog]], Catalog]
"""Returns the catalog that the function makes, or the same from memory that this machine's processes share.

The text is a digest of what the catalog is made from: the same release and text stand for the same catalog.
"""


def index_cover(catalog: Catalog) -> IndexCover | None:
    """Return which offers of a catalog its index has; None: it has no index."""
    if catalog.nearest is None:
        return None
    changed = None if catalog.shared is None else catalog.shared.changed
    return cover_of(catalog.nearest, catalog.offer_ids, catalog.index, catalog.vectors, changed)


def _bounds(bounds_ms: Sequence[int | None], open_ms: int) -> Millis:
    return np.array([open_ms if bound is None else bound for bound in bounds_ms], np.int64)


def _check(
    index: dict[OfferId, int],
    offer_ids: list[OfferId],
    vectors: Vectors,
    columns: tuple[Sequence[bytes] | NDArray[np.generic], ...],
) -> None:
    rows = len(offer_ids)
    if len(index) < rows:
        raise BadModel(f"offer ids must differ, {rows - len(index)} of {rows} are repeated")
    counts = {len(column) for column in (vectors, *columns)}
    if counts != {rows} or vectors.ndim != 2:
        raise BadModel(f"{rows} offers need as many vectors, features and flags, got {sorted(counts)}")
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    wrong = ~(lengths <= LENGTH_MAX)  # not `>`, which is false for NaN
    if wrong.any():
        raise BadModel(
            f"offer vectors must be L2-normalised: {np.count_nonzero(wrong)} of {rows} are not finite or "
            f"longer than {LENGTH_MAX}"
        )
