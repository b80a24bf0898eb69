"""Folders anywhere: what a filesystem's trouble is, and what a URI must not show."""

from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stream_scorer.adapters.files import folders
from stream_scorer.adapters.files.example_places import examples_at
from stream_scorer.adapters.files.folders import Folder
from stream_scorer.errors import StreamScorerError, TransientError, UsageError


def test_a_tilde_is_the_users_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    Folder.open("~/labels").write("a.jsonl", b'{"customer_id": "c", "offer_id": "o", "accepted": 1}\n')
    assert (tmp_path / "labels" / "a.jsonl").is_file()
    with examples_at("~/labels") as examples:
        assert len(examples.files) == 1


def test_the_folder_of_nobody_is_wrong_usage() -> None:
    with pytest.raises(UsageError, match="~nobody-of-this-name"):
        Folder.open("~nobody-of-this-name/labels")


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("When resolving region for bucket 'x': Bucket 'x' not found", UsageError),
        ("AWS Error ACCESS_DENIED during ListObjectsV2 operation", UsageError),
        ("AWS Error NETWORK_CONNECTION during HeadBucket operation: curlCode: 6", TransientError),
    ],
)
def test_an_unreachable_place_raises_our_error(
    monkeypatch: pytest.MonkeyPatch, reason: str, kind: type[StreamScorerError]
) -> None:
    def refuse(_uri: str) -> None:
        raise OSError(reason)

    monkeypatch.setattr(folders, "fs", SimpleNamespace(FileSystem=SimpleNamespace(from_uri=refuse)))
    with (
        pytest.raises(kind, match="opening s3://bucket/x") as refused,
        examples_at("s3://key:secret@bucket/x?token=secret"),
    ):
        pass
    assert "secret" not in str(refused.value)


def test_a_broken_uri_hides_its_secrets() -> None:
    with pytest.raises(UsageError) as refused:
        Folder.open("gopher://key:secret@labels?token=secret")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("cut", [4, 20, 100])
def test_a_damaged_file_is_not_retried(tmp_path: Path, cut: int) -> None:
    pq.write_table(pa.table({"x": list(range(1000))}), tmp_path / "a.parquet")
    whole = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(
        whole[:8] + b"\xff" * cut + whole[8 + cut : -cut - 8] + b"\xff" * cut + whole[-8:]
    )
    with pytest.raises(UsageError, match=r"a\.parquet is no Parquet file of ours"):
        Folder.open(str(tmp_path)).footer("a.parquet")
    with pytest.raises(UsageError, match=r"a\.parquet is no Parquet file of ours"):
        Folder.open(str(tmp_path)).table("a.parquet")


def test_a_writable_folder_is_left_empty(tmp_path: Path) -> None:
    Folder.open(str(tmp_path / "buffer")).check_writable()
    assert list((tmp_path / "buffer").iterdir()) == []


def test_a_folder_inside_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"writing to .*/file/inside"):
        Folder.open(str(tmp_path / "file" / "inside")).check_writable()
