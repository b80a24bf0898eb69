"""Lists of offers in faiss: vectors as codes of 8 bits a number (IVF-SQ8), a quarter of their memory.

Nothing of faiss's own is ever stored or read back: the codes are made anew from the release's vectors. Its reader of
files takes bytes at their word, so that whoever could write to the store could bring a ranker down.
"""

from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from stream_scorer.core.releases.offer_index import InvertedFile, ListNumbers, Places, Vectors32, check_fit

TRAINED_MAX = 100_000  # vectors from which the range of each number is taken
CLUSTERED_A_LIST = 40  # vectors that k-means sees for each list; more cost time and hardly move the centroids
ITERATIONS = 8
SEED = 1
_ASSIGNED_ROWS = 16_384

Flags = NDArray[np.bool_]


class FaissLists:
    """See ListSearch. One thread searches."""

    def __init__(self, file: InvertedFile, vectors: Vectors32) -> None:
        """Fill the lists. Raises BadModel for a file of other vectors."""
        check_fit(file, vectors)
        # rankers share a machine, one process a core
        faiss.omp_set_num_threads(1)
        dim, lists = vectors.shape[1], len(file.centroids)
        # the quantizer stays empty: which lists are looked into is decided outside
        self._quantizer = faiss.IndexFlatIP(dim)
        self._index: Any = faiss.IndexIVFScalarQuantizer(
            self._quantizer, dim, lists, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT, False
        )
        self._index.sq.train(_evenly(vectors, TRAINED_MAX))
        self._index.is_trained = True
        numbers = file.list_of.astype(np.int64)
        whole = np.ascontiguousarray(vectors)
        self._index.add_core(len(whole), faiss.swig_ptr(whole), None, faiss.swig_ptr(numbers))
        self._rows = len(whole)

    def search(self, customers: Vectors32, lists: Places, *, count: int, eligible: Flags | None) -> Places:
        """See ListSearch."""
        queries, probed = np.ascontiguousarray(customers, np.float32), np.ascontiguousarray(lists, np.int64)
        rows = np.empty((len(queries), count), np.int64)
        scores, centroid_scores = np.empty(rows.shape, np.float32), np.zeros(probed.shape, np.float32)
        options = faiss.SearchParametersIVF(nprobe=probed.shape[1])
        if eligible is not None:
            flags = np.packbits(eligible, bitorder="little")
            options.sel = selector = faiss.IDSelectorBitmap(len(flags), faiss.swig_ptr(flags))
        self._index.search_preassigned_c(
            len(queries),
            faiss.swig_ptr(queries),
            count,
            faiss.swig_ptr(probed),
            faiss.swig_ptr(centroid_scores),
            faiss.swig_ptr(scores),
            faiss.swig_ptr(rows),
            False,
            options,
        )
        if eligible is not None:
            del selector  # faiss has pointers to it and its flags alone: they must live until here
        return rows


def cluster(vectors: Vectors32, lists: int) -> tuple[Vectors32, ListNumbers]:
    """See Cluster. Spherical k-means on an even sample, since all that counts of a vector is its direction."""
    faiss.omp_set_num_threads(1)
    sample = _evenly(vectors, CLUSTERED_A_LIST * lists)
    dim = vectors.shape[1]
    means: Any = faiss.Kmeans(
        dim,
        lists,
        niter=ITERATIONS,
        spherical=True,
        seed=SEED,
        min_points_per_centroid=1,
        max_points_per_centroid=10**6,
    )
    means.train(sample)
    centroids = np.ascontiguousarray(means.centroids, np.float32)
    list_of = np.empty(len(vectors), np.int32)
    for start in range(0, len(vectors), _ASSIGNED_ROWS):
        rows = slice(start, start + _ASSIGNED_ROWS)
        list_of[rows] = (vectors[rows] @ centroids.T).argmax(axis=1)
    return centroids, list_of


def _evenly(vectors: Vectors32, count: int) -> Vectors32:
    """Return at most so many of the vectors, evenly spread over the rows, which are in the order of the offers' ids."""
    rows = np.unique(np.linspace(0, len(vectors) - 1, min(len(vectors), count)).astype(np.int64))
    return np.ascontiguousarray(vectors[rows], np.float32)
