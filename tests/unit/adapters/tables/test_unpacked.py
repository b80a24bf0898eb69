"""Packed files that unpack to far more than they are, in every reader of them."""

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stream_scorer.adapters.files.event_files import EventFile
from stream_scorer.adapters.files.example_files import ExampleFiles
from stream_scorer.adapters.files.folders import Folder
from stream_scorer.adapters.files.offer_files import read_offers, read_policy
from stream_scorer.adapters.files.vector_files import read_vectors
from stream_scorer.adapters.tables import lines, unpacked
from stream_scorer.errors import UsageError

SMALL = 100_000
READERS: dict[str, Callable[[Path], object]] = {
    "offers": read_offers,
    "vectors": lambda path: read_vectors(path, "offer_id"),
    "labels": lambda path: list(ExampleFiles.at(path).chunks()),
    "events": lambda path: list(EventFile(path)),
    "a policy": lambda path: read_policy(path, []),
}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacked, "SMALL_BYTES", SMALL)


@pytest.mark.parametrize(
    ("reader", "name"), [(reader, f"a.{kind}.gz") for reader in READERS for kind in ("jsonl", "csv")][:-1]
)
def test_text_that_unpacks_without_end_is_refused(tmp_path: Path, reader: str, name: str) -> None:
    csv = b"offer_id,customer_id,accepted,vector,x\n" + b'o,c,1,"[1, 2]",%b\n' % (b"x" * 9_999) * 400
    with gzip.open(tmp_path / name, "wb", compresslevel=9) as file:
        file.write(csv if "csv" in name else (b" " * 9_999 + b"\n") * 400)
    with pytest.raises(UsageError, match=r"unpacks to [\d,]+ bytes, at most [\d,]+ are read of a file of its size"):
        READERS[reader](tmp_path / name)


def test_logs_packed_to_a_hundredth_are_read(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "a.jsonl.gz", "wb") as file:
        file.writelines(
            b'{"offer_id":"o%d","features":{"colour":"%b"}}\n' % (row, b"red" * 300) for row in range(1_000)
        )
    assert (tmp_path / "a.jsonl.gz").stat().st_size < SMALL / 5
    assert len(read_offers(tmp_path / "a.jsonl.gz")) == 1_000


@pytest.fixture
def columns(tmp_path: Path) -> Path:
    """A value of 2 MB, which the pages hold twice and zstd packs to nothing."""
    wide = pa.table({"offer_id": ["a", "b"], "customer_id": ["a", "b"], "x": ["y" * 2_000_000, "z" * 2_000_000]})
    pq.write_table(wide, tmp_path / "a.parquet", compression="zstd", use_dictionary=False, write_statistics=False)
    return tmp_path / "a.parquet"


@pytest.mark.parametrize("reader", ["offers", "vectors", "labels", "events"])
def test_columns_that_unpack_without_end_are_refused(columns: Path, reader: str) -> None:
    with pytest.raises(UsageError, match=r"a\.parquet unpacks to 4,[\d,]+ bytes"):
        READERS[reader](columns)


def test_the_buffers_files_are_bounded_alike(columns: Path) -> None:
    with pytest.raises(UsageError, match="unpacks to"):
        Folder.open(str(columns.parent)).table("a.parquet")


def test_constant_columns_of_many_rows_are_read(tmp_path: Path) -> None:
    pq.write_table(pa.table({"customer_id": ["c"] * 70_000}), tmp_path / "a.parquet")
    assert sum(1 for _ in EventFile(tmp_path / "a.parquet")) == 70_000


def test_an_array_may_not_claim_any_shape(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", ids=np.array(["a"]), vectors=np.ones((1, 2)))
    whole = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(whole.replace(b"(1, 2), }", b"(9" + b"9" * 12 + b",2)}")[: len(whole)])
    with pytest.raises(UsageError, match=r"a\.npz"):
        read_vectors(tmp_path / "a.npz", "offer_id")


def test_small_files_pack_as_they_like() -> None:
    unpacked.check_unpacked("a.gz", 1, unpacked.SMALL_BYTES, times_max=300)
    with pytest.raises(UsageError, match="unpacks to"):
        unpacked.check_unpacked("a.gz", 1, unpacked.SMALL_BYTES + 1, times_max=300)


def test_rows_are_chunked_by_count() -> None:
    rows = [(number, b"x" * 10) for number in range(10)]
    chunks = list(lines.chunked(rows, 4, len))
    assert [len(chunk) for _, chunk in chunks] == [4, 4, 2]


def test_few_large_rows_make_a_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "CHUNK_BYTES_MAX", 25)
    chunks = list(lines.chunked([(number, b"x" * 10) for number in range(7)], 4, len))
    assert [len(chunk) for _, chunk in chunks] == [3, 3, 1]
