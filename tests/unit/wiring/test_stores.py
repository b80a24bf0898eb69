"""Which tools for an index there are, with faiss and without."""

import importlib.util

import pytest

from stream_scorer.adapters.memory.releases import MemoryReleases
from stream_scorer.errors import ReleaseError, UsageError
from stream_scorer.settings import RankSettings, Settings
from stream_scorer.wiring import loading, stores, streaming
from stream_scorer.wiring.stores import indexer, release_store
from tests.doubles import SilentTelemetry


@pytest.fixture
def _no_faiss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)


def test_no_index_is_made_unasked() -> None:
    assert indexer(Settings()) is None


@pytest.mark.usefixtures("_no_faiss")
def test_an_index_needs_faiss() -> None:
    with pytest.raises(UsageError, match=r"pip install '.\[index\]'"):
        indexer(Settings(rank=RankSettings(index=True)))


def test_only_who_ranks_opens_an_index(monkeypatch: pytest.MonkeyPatch) -> None:
    openers: list[object] = []
    monkeypatch.setattr(stores, "RedisReleases", lambda client, **options: openers.append(options["open_index"]))
    for ranks in (False, True):
        release_store(Settings(), ranks=ranks)
    assert [opener is None for opener in openers] == [True, False]


def test_score_and_rankers_open_the_index(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []

    def releases(*of_where: object, ranks: bool = False) -> MemoryReleases:
        asked.append(ranks)
        return MemoryReleases()

    monkeypatch.setattr(loading, "releases_on", releases)
    monkeypatch.setattr(streaming, "release_store", releases)
    with pytest.raises(ReleaseError, match="no release yet"):
        loading.stored_release(Settings(), loading.CURRENT)
    with streaming._following(Settings(), SilentTelemetry()):
        pass
    assert asked == [True, True]
