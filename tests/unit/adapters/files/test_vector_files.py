"""Vectors by id from files."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stream_scorer.adapters.files.vector_files import read_vectors
from stream_scorer.errors import UsageError

LINES = '{"offer_id": "x", "vector": [1, 2.5]}\n\n{"offer_id": "y", "vector": [0.0, -1.0], "other": true}\n'


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_every_format_says_the_same(tmp_path: Path) -> None:
    pq.write_table(pa.table({"offer_id": ["x", "y"], "vector": [[1.0, 2.5], [0.0, -1.0]]}), tmp_path / "v.parquet")
    np.savez(tmp_path / "v.npz", ids=np.array(["x", "y"]), vectors=np.array([[1.0, 2.5], [0.0, -1.0]], np.float32))
    written(tmp_path / "v.jsonl", LINES)
    for name in ("v.jsonl", "v.parquet", "v.npz"):
        read = read_vectors(tmp_path / name, "offer_id")
        assert (read.ids, read.vectors.tolist()) == (("x", "y"), [[1.0, 2.5], [0.0, -1.0]]), name


def test_parquets_lists_of_fixed_size_are_read(tmp_path: Path) -> None:
    vectors = pa.array([[1.0, 2.0]], pa.list_(pa.float32(), 2))
    pq.write_table(pa.table({"offer_id": ["x"], "vector": vectors}), tmp_path / "v.parquet")
    assert read_vectors(tmp_path / "v.parquet", "offer_id").vectors.tolist() == [[1.0, 2.0]]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"offer_id": true, "vector": [1.0]}\n', "line 1: offer_id: must be an id.*got True"),
        (
            '{"offer_id": "x", "vector": [1.0]}\n{"offer_id": "y", "vector": ["a"]}\n',
            r"line 2: vector: must be a number, not text, got \['a'\]",
        ),
        ('{"offer_id": "x"}\n', "line 1: vector must not be null"),
        ("no json\n", "line 1: the value is not JSON"),
        (
            '{"offer_id": "x", "vector": [1.0]}\n{"offer_id": "y", "vector": [1.0, 2.0]}\n',
            "'y' has 2 numbers, the first vector 1",
        ),
        ('{"offer_id": "x", "vector": [0.0]}\n', "zero or not finite"),
        ("", "expected vectors of one length for 0 ids"),
    ],
)
def test_rows_that_are_no_vectors_are_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        read_vectors(written(tmp_path / "v.jsonl", text), "offer_id")


def test_parquet_without_the_columns_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"offer_id": ["x"]}), tmp_path / "v.parquet")
    with pytest.raises(UsageError, match="it lacks vector"):
        read_vectors(tmp_path / "v.parquet", "offer_id")


def test_a_null_vector_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"offer_id": ["x", "y"], "vector": [[1.0], None]}), tmp_path / "v.parquet")
    with pytest.raises(UsageError, match="must not be null"):
        read_vectors(tmp_path / "v.parquet", "offer_id")


def test_an_archive_of_other_arrays_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "v.npz", ids=np.array(["x"]))
    with pytest.raises(UsageError, match="must hold arrays ids and vectors"):
        read_vectors(tmp_path / "v.npz", "offer_id")


@pytest.mark.parametrize("name", ["v.txt", "none.jsonl"])
def test_other_files_are_refused(tmp_path: Path, name: str) -> None:
    written(tmp_path / "v.txt", LINES)
    with pytest.raises(UsageError, match="vectors"):
        read_vectors(tmp_path / name, "offer_id")
