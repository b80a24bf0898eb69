"""Labelled examples at a path or a URI; file:// stands here for any filesystem that pyarrow opens."""

import tempfile
from pathlib import Path

import pytest

from stream_scorer.adapters.files.example_places import examples_at
from stream_scorer.errors import UsageError

ROW = b'{"customer_id": "c", "offer_id": "o", "accepted": 1}\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("day=1/a.jsonl", "day=2/b.jsonl", "_hidden/c.jsonl", ".tmp/d.jsonl", "note.txt"):
        (tmp_path / "labels" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "labels" / name).write_bytes(ROW)
    return tmp_path / "labels"


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_a_folder_is_read_wherever_it_lies(folder: Path, scheme: str) -> None:
    with examples_at(f"{scheme}{folder}") as examples:
        assert sum(len(chunk) for chunk in examples.chunks()) == 2
        assert sum(len(chunk) for chunk in examples.chunks()) == 2  # more than once


def test_what_was_copied_is_gone_afterwards(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    with examples_at(f"file://{folder}"):
        assert len(list((tmp_path / "tmp").rglob("*.jsonl"))) == 2
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize("place", ["file:///no/such/folder?secret=1", "nowhere", "gopher://labels"])
def test_a_place_without_examples_is_wrong_usage(place: str) -> None:
    with pytest.raises(UsageError) as refused, examples_at(place):
        pass
    assert "secret" not in str(refused.value)
