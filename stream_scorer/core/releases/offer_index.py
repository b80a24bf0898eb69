"""An approximate nearest-neighbour index over a release's offers: an inverted file (IVF).

The offers' vectors are clustered, and each offer is in the list of its nearest centroid. A request looks into the lists
whose centroids are nearest to its customer. So a list number per offer is all that has to be stored beside the vectors,
which the release has anyway: nothing that could run code, and a wrong number can cost recall but never makes a score
wrong (Jégou, Douze, Schmid, Product Quantization for Nearest Neighbor Search, 2011, section 4).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from stream_scorer.core.messages import OfferId
from stream_scorer.errors import BadModel

LISTS_MAX = 65_536
_COMPARED_OFFERS = 16_384  # at a time: a copy of all vectors would double the memory of a ranker at each change

Vectors32 = NDArray[np.float32]
ListNumbers = NDArray[np.int32]
Places = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class InvertedFile:
    """What is stored of an index; row i of `list_of` is row i of the catalog as it was published.

    `probes` is how many lists a request for ten offers of the whole catalog looks into, and `recall` what publish
    measured with them. Raises BadModel for parts that do not fit together.
    """

    centroids: Vectors32  # (L, p)
    list_of: ListNumbers  # (N,), from 0 to L - 1
    probes: int
    recall: float

    def __post_init__(self) -> None:
        """Check the parts: they may come from a store that others can write to."""
        lists = len(self.centroids)
        if self.centroids.ndim != 2 or not 1 <= lists <= LISTS_MAX or not np.isfinite(self.centroids).all():
            raise BadModel(f"an index needs 1 to {LISTS_MAX} finite centroids, got an array {self.centroids.shape}")
        if self.list_of.ndim != 1 or not np.logical_and(self.list_of >= 0, self.list_of < lists).all():
            raise BadModel(f"an index of {lists} lists names lists that it does not have")
        if len(self.list_of) < lists:
            raise BadModel(f"an index of {len(self.list_of)} offers cannot have {lists} lists")
        if not 1 <= self.probes <= lists:
            raise BadModel(f"an index of {lists} lists cannot be looked into {self.probes} times")


def check_fit(file: InvertedFile, vectors: Vectors32) -> None:
    """Raise BadModel for an index that cannot be of these vectors (N, p)."""
    made_for = (len(file.list_of), file.centroids.shape[1])
    if vectors.shape != made_for:
        raise BadModel(f"an index of {made_for[0]} offers with {made_for[1]} numbers does not fit {vectors.shape}")


class ListSearch(Protocol):
    """Looks into lists. What it finds for a customer must not depend on the other customers of the call."""

    def search(self, customers: Vectors32, lists: Places, *, count: int, eligible: NDArray[np.bool_] | None) -> Places:
        """Return the rows (B, count) that score highest in each customer's lists, about, best first; -1: no more.

        `customers` are (B, p), `lists` (B, w) with -1 for none, `eligible` (N,) marks what may be returned, None: all.
        """


OpenIndex = Callable[[InvertedFile, Vectors32], ListSearch]
"""Makes an index ready to be searched from its parts and the vectors (N, p) of the catalog as it was published."""

Cluster = Callable[[Vectors32, int], tuple[Vectors32, ListNumbers]]
"""Returns the centroids (L, p) of vectors (N, p), and the list of each vector; the same vectors give the same lists."""


@dataclass(frozen=True, slots=True, eq=False)
class OfferIndex:
    """An index ready to be searched, and the catalog as it was published: `ids` and `vectors` of its rows."""

    file: InvertedFile
    lists: ListSearch
    ids: Sequence[OfferId]
    vectors: Vectors32

    def sizes(self, eligible: NDArray[np.bool_] | None) -> Places:
        """Return how many offers are in each list (L,), of the eligible ones alone where these are given."""
        list_of = self.file.list_of if eligible is None else self.file.list_of[eligible]
        return np.bincount(list_of, minlength=len(self.file.centroids))


@dataclass(frozen=True, slots=True)
class IndexCover:
    """Where a catalog stands in relation to its index.

    `rows` is the catalog's row of each indexed offer, -1 where that has been withdrawn or has another vector now; None:
    every row is its own. `fresh` are the catalog's rows that the index does not have, ascending.
    """

    rows: Places | None
    fresh: Places


def cover_of(
    index: OfferIndex,
    ids: Sequence[OfferId],
    row_of: Mapping[OfferId, int],
    vectors: Vectors32,
    changed: Places | None = None,
) -> IndexCover:
    """Return how an index covers a catalog that has been changed since.

    `changed` are the indexed offers that may have another vector now; None: any of them. The result depends on the two
    states alone and not on the changes between them, so that a ranker that followed them all ranks as one that starts
    now.
    """
    if ids is index.ids and vectors is index.vectors:
        return IndexCover(None, np.empty(0, np.int64))
    if ids is index.ids or ids == index.ids:
        rows = np.arange(len(ids), dtype=np.int64)
    else:
        rows = np.fromiter((row_of.get(offer_id, -1) for offer_id in index.ids), np.int64, len(index.ids))
    _leave_moved(rows, vectors, index.vectors, np.arange(len(rows)) if changed is None else changed)
    covered = np.zeros(len(ids), bool)
    covered[rows[rows >= 0]] = True
    fresh = np.flatnonzero(~covered)
    return IndexCover(None if not len(fresh) and len(ids) == len(index.ids) else rows, fresh)


def _leave_moved(rows: Places, vectors: Vectors32, published: Vectors32, compared: Places) -> None:
    """Set to -1, in place, the row of each of these indexed offers whose vector is no longer the published one."""
    for start in range(0, len(compared), _COMPARED_OFFERS):
        some = compared[start : start + _COMPARED_OFFERS]
        here = some[rows[some] >= 0]
        rows[here[(vectors[rows[here]] != published[here]).any(axis=1)]] = -1
