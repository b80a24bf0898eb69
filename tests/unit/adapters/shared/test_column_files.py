from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from stream_scorer.adapters.shared.column_files import HEAD_BYTES, MappedColumns, map_columns, write_columns
from stream_scorer.errors import ReleaseError

COLUMNS: dict[str, NDArray[Any]] = {
    "vectors": np.arange(6, dtype=np.float32).reshape(3, 2),
    "active": np.array([True, False]),
    "empty": np.empty(0, np.uint8),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with (tmp_path / "columns").open("w+b") as file:
        write_columns(file, COLUMNS)
    return tmp_path / "columns"


def mapped(path: Path) -> MappedColumns:
    return map_columns(path.open("rb"))


def test_arrays_come_back_read_only(path: Path) -> None:
    columns = mapped(path).columns
    assert {name: column.tolist() for name, column in columns.items()} == {
        name: column.tolist() for name, column in COLUMNS.items()
    }
    assert [column.dtype for column in columns.values()] == [column.dtype for column in COLUMNS.values()]
    with pytest.raises(ValueError, match="read-only"):
        columns["vectors"][0] = 1


def test_what_is_written_stays_here(path: Path) -> None:
    columns = mapped(path)
    own = columns.writable("vectors")
    own[1] = 9
    assert own.tolist() == [[0, 1], [9, 9], [4, 5]]
    assert columns.columns["vectors"].tolist() == mapped(path).columns["vectors"].tolist() == [[0, 1], [2, 3], [4, 5]]


@pytest.mark.parametrize("place", [3, 40, HEAD_BYTES + 1, 2 * HEAD_BYTES])
def test_a_changed_byte_is_noticed(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    with path.open("rb") as file, pytest.raises(ReleaseError):
        map_columns(file)


@pytest.mark.parametrize("size", [0, 10, HEAD_BYTES, HEAD_BYTES + 1])
def test_a_cut_file_is_refused(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])
    with path.open("rb") as file, pytest.raises(ReleaseError):
        map_columns(file)
