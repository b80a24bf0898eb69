import pytest

from stream_scorer.adapters.memory.lists import MemoryLists, cluster
from stream_scorer.core.ranking import index_building, index_plan
from stream_scorer.core.ranking.index_building import PROBES_MIN, build_index
from stream_scorer.core.releases.offer_index import InvertedFile, Vectors32
from tests.index_worlds import clustered
from tests.ranking_worlds import catalog_of, unit_vectors

OFFERS = 3_000


@pytest.fixture(autouse=True)
def _any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (index_plan, index_building):
        monkeypatch.setattr(module, "INDEX_OFFERS_MIN", 1_000)


class Blind(MemoryLists):
    """Does not see half of the offers."""

    def __init__(self, file: InvertedFile, vectors: Vectors32) -> None:
        super().__init__(file, vectors)
        self.blind = list(range(0, len(vectors), 2))


def test_small_catalogs_get_no_index() -> None:
    assert build_index(catalog_of(unit_vectors(999, 4)), cluster, MemoryLists, recall_min=0.9) == (None, [])


def test_an_index_states_its_recall() -> None:
    index, faults = build_index(clustered(), cluster, MemoryLists, recall_min=0.5)
    assert faults == []
    assert index is not None
    assert index.file.probes == PROBES_MIN
    assert 0.5 <= index.file.recall <= 1


def test_recall_below_the_bound_is_a_fault() -> None:
    _, (fault,) = build_index(catalog_of(unit_vectors(OFFERS, 4)), cluster, Blind, recall_min=0.99)
    assert "below rank.recall_min = 0.99" in fault


def test_offers_yet_to_come_are_measured() -> None:
    catalog = clustered()
    catalog.active[:] = False
    index, _ = build_index(catalog, cluster, MemoryLists, recall_min=0.5)
    assert index is not None
    assert index.file.recall >= 0.5
