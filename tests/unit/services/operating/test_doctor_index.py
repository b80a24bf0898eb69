import numpy as np
import pytest

from stream_scorer.adapters.memory.lists import MemoryLists, cluster
from stream_scorer.adapters.memory.releases import MemoryReleases
from stream_scorer.core.messages import ReleaseId
from stream_scorer.core.ranking import index_building, index_plan
from stream_scorer.core.ranking.index_building import build_index
from stream_scorer.core.releases.catalog import Catalog
from stream_scorer.core.releases.release import Release
from stream_scorer.services.operating.doctor import Finding
from stream_scorer.services.operating.doctor_index import index_findings
from tests.index_worlds import clustered
from tests.release_samples import model


class NoFaiss(MemoryReleases):
    """Loads releases without their indexes, as the store does where faiss is missing."""

    def load(self, release_id: ReleaseId) -> Release:
        loaded = super().load(release_id)
        return Release(release_id, loaded.user_tower, loaded.catalog.indexed_by(None), 0)


@pytest.fixture(autouse=True)
def _any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (index_plan, index_building):
        monkeypatch.setattr(module, "INDEX_OFFERS_MIN", 1_000)


def findings(catalog: Catalog, releases: MemoryReleases, recall_min: float = 0.5) -> list[Finding]:
    made = model(1)
    releases.write(Release(catalog.release_id, made.user_tower, catalog, 0), made)
    releases.activate(catalog.release_id, keep=1)
    return list(index_findings(releases, recall_min=recall_min))


def indexed() -> Catalog:
    catalog = clustered()
    index, _ = build_index(catalog, cluster, MemoryLists, recall_min=0.5)
    return catalog.indexed_by(index)


def test_a_release_without_index_needs_no_word() -> None:
    assert list(index_findings(MemoryReleases(), recall_min=0.9)) == []
    assert findings(clustered(), MemoryReleases()) == []


def test_the_recall_is_measured() -> None:
    (finding,) = findings(indexed(), MemoryReleases())
    assert finding.state == "ok"
    assert "of the best 10 for 512 made-up customers" in finding.says


def test_a_low_recall_warns() -> None:
    catalog = indexed()
    assert catalog.nearest is not None
    lists = catalog.nearest.lists
    assert isinstance(lists, MemoryLists)
    lists.blind = list(range(0, len(catalog), 2))
    (finding,) = findings(catalog, MemoryReleases(), recall_min=0.9)
    assert (finding.state, finding.do) == ("warning", "stream-scorer publish --reindex: rank.recall_min is 0.9")


def test_an_outgrown_index_warns() -> None:
    catalog = indexed()
    catalog = catalog.merged(
        Catalog.from_columns(
            catalog.release_id,
            offer_ids=list(catalog.offer_ids[:100]),
            vectors=-catalog.vectors[:100],
            fragments=list(catalog.fragments[:100]),
            active=np.ones(100, bool),
            valid_from_ms=catalog.valid_from_ms[:100],
            valid_until_ms=catalog.valid_until_ms[:100],
        ),
        withdrawn=[],
    )
    (finding,) = findings(catalog, MemoryReleases())
    assert finding.state == "warning"
    assert finding.says.startswith(f"100 of {len(catalog):,} offers are not in it")


def test_without_faiss_nothing_is_claimed() -> None:
    (finding,) = findings(indexed(), NoFaiss())
    assert (finding.state, finding.says[:12]) == ("warning", "not measured")
