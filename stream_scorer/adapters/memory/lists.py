"""Lists of offers in plain numpy, for tests."""

import numpy as np
from numpy.typing import NDArray

from stream_scorer.core.releases.offer_index import InvertedFile, ListNumbers, Places, Vectors32, check_fit


class MemoryLists:
    """See ListSearch. `searched` counts the customers of all calls; offers in `blind` are never returned."""

    def __init__(self, file: InvertedFile, vectors: Vectors32) -> None:
        check_fit(file, vectors)
        self._file, self._vectors = file, vectors
        self.searched = 0
        self.blind: list[int] = []

    def search(self, customers: Vectors32, lists: Places, *, count: int, eligible: NDArray[np.bool_] | None) -> Places:
        """See ListSearch."""
        self.searched += len(customers)
        shown = np.ones(len(self._vectors), bool) if eligible is None else eligible.copy()
        shown[self.blind] = False
        rows = np.full((len(customers), count), -1)
        for number, (customer, own) in enumerate(zip(customers, lists, strict=True)):
            inside = np.flatnonzero(np.isin(self._file.list_of, own) & shown)
            scores = (self._vectors[inside] * customer).sum(axis=1)
            best = inside[np.argsort(-scores, kind="stable")][:count]
            rows[number, : len(best)] = best
        return rows


def cluster(vectors: Vectors32, lists: int) -> tuple[Vectors32, ListNumbers]:
    """See Cluster: some of the vectors are the centroids."""
    centroids = vectors[np.linspace(0, len(vectors) - 1, lists).astype(np.int64)]
    return centroids, (vectors @ centroids.T).argmax(axis=1).astype(np.int32)
