"""Which tools for an index there are, with faiss and without."""

import importlib.util

import pytest

from stream_scorer.errors import UsageError
from stream_scorer.settings import RankSettings, Settings
from stream_scorer.wiring.stores import index_opener, indexer


@pytest.fixture
def _no_faiss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)


def test_no_index_is_made_unasked() -> None:
    assert indexer(Settings()) is None


@pytest.mark.usefixtures("_no_faiss")
def test_an_index_needs_faiss() -> None:
    assert index_opener() is None
    with pytest.raises(UsageError, match=r"pip install '.\[index\]'"):
        indexer(Settings(rank=RankSettings(index=True)))
