"""What every search of lists must do: in plain numpy, and in faiss."""

import numpy as np
import pytest

from stream_scorer.adapters.index import faiss_lists
from stream_scorer.adapters.memory import lists as memory
from stream_scorer.core.releases.offer_index import Cluster, ListSearch, OpenIndex
from stream_scorer.errors import BadModel
from tests.index_worlds import CLUSTERS, DIM, MEMBERS, centres, clustered, file_of

CATALOG = clustered()
FILE = file_of(CATALOG)


def makers(kind: str) -> tuple[OpenIndex, Cluster]:
    if kind == "memory":
        return memory.MemoryLists, memory.cluster
    return faiss_lists.FaissLists, faiss_lists.cluster


@pytest.fixture(params=["memory", "faiss"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def search(kind: str) -> ListSearch:
    return makers(kind)[0](FILE, CATALOG.vectors)


def customers(count: int) -> np.ndarray:
    return centres()[:count].astype(np.float32)


def lists_of(*numbers: int) -> np.ndarray:
    return np.array([numbers], np.int64)


def test_the_best_of_a_list_come_first(search: ListSearch) -> None:
    rows = search.search(customers(1), lists_of(0), count=5, eligible=None)
    scores = CATALOG.vectors[rows[0]] @ customers(1)[0]
    best = np.sort(CATALOG.vectors @ customers(1)[0])[::-1][:5]
    # codes of 8 bits may change places of neighbours, but not by more than their rounding
    np.testing.assert_allclose(np.sort(scores)[::-1], best, atol=0.01)
    assert (FILE.list_of[rows] == 0).all()


def test_only_the_lists_named_are_searched(search: ListSearch) -> None:
    rows = search.search(customers(1), lists_of(3, 9), count=2 * MEMBERS, eligible=None)[0]
    assert sorted(rows.tolist()) == sorted(np.flatnonzero(np.isin(FILE.list_of, (3, 9))).tolist())


def test_places_without_an_offer_are_minus_one(search: ListSearch) -> None:
    rows = search.search(customers(1), lists_of(3, -1), count=MEMBERS + 2, eligible=None)[0]
    assert (rows[-2:].tolist(), (rows[:MEMBERS] >= 0).all()) == ([-1, -1], True)


def test_what_is_not_eligible_never_comes(search: ListSearch) -> None:
    eligible = np.arange(CLUSTERS * MEMBERS) % 3 == 0
    rows = search.search(customers(1), lists_of(0, 1), count=2 * MEMBERS, eligible=eligible)[0]
    assert sorted(rows[rows >= 0].tolist()) == sorted(np.flatnonzero(np.isin(FILE.list_of, (0, 1)) & eligible).tolist())


def test_a_search_does_not_depend_on_company(search: ListSearch) -> None:
    lists = np.tile(np.array([[1, 2, 3, 4]]), (20, 1))
    together = search.search(customers(20), lists, count=30, eligible=None)
    for number in range(20):
        alone = search.search(customers(20)[[number]], lists[[number]], count=30, eligible=None)
        assert alone[0].tolist() == together[number].tolist()


def test_lists_of_other_vectors_are_refused(kind: str) -> None:
    with pytest.raises(BadModel, match="does not fit"):
        makers(kind)[0](FILE, CATALOG.vectors[:-1])


def test_clustering_is_the_same_again(kind: str) -> None:
    cluster = makers(kind)[1]
    (centroids, list_of), (again, list_again) = cluster(CATALOG.vectors, 8), cluster(CATALOG.vectors, 8)
    assert centroids.shape == (8, DIM)
    assert (list_of.dtype, list_of.shape) == (np.dtype(np.int32), (len(CATALOG),))
    assert (again.tobytes(), list_again.tobytes()) == (centroids.tobytes(), list_of.tobytes())


def test_offers_are_with_their_nearest_centroid(kind: str) -> None:
    centroids, list_of = makers(kind)[1](CATALOG.vectors, 8)
    scores = CATALOG.vectors @ centroids.T
    np.testing.assert_allclose(scores[np.arange(len(scores)), list_of], scores.max(axis=1), atol=1e-5)
