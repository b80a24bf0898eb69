"""Vectors by id from files: JSON lines and Parquet with an id column and a column `vector`, or .npz with arrays `ids` and `vectors`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import msgspec
import numpy as np

from stream_scorer.adapters.files.tables import JSON_LINES, open_text, suffix_of
from stream_scorer.core.towers.given_vectors import VECTOR, GivenVectors
from stream_scorer.errors import BadModel, UsageError

_ROW = msgspec.json.Decoder(dict[str, Any])
_VECTOR = list[float]


def read_vectors(path: Path, id_column: str) -> GivenVectors:
    """Read a file of vectors. Raises UsageError, with file, row and reason, for what are none."""
    if not path.is_file():
        raise UsageError(f"{path} is not a file of vectors")
    suffix = suffix_of(path)
    if suffix in JSON_LINES:
        ids, vectors = _json_lines(path, id_column)
    elif suffix == ".parquet":
        ids, vectors = _parquet(path, id_column)
    elif suffix == ".npz":
        ids, vectors = _npz(path)
    else:
        raise UsageError(f"vectors are read from .jsonl, .parquet or .npz files, got {path}")
    try:
        return GivenVectors(tuple(ids), _matrix(path, ids, vectors))
    except BadModel as error:
        raise UsageError(f"{path}: {error}") from error


def _matrix(
    path: Path, ids: Sequence[str], vectors: Sequence[Any]
) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]]":
    lengths = {len(one) for one in vectors}
    if len(lengths) > 1:
        odd = next(row for row, one in enumerate(vectors) if len(one) != len(vectors[0]))
        raise UsageError(
            f"{path}: the vector of {ids[odd]!r} has {len(vectors[odd])} numbers, the first one {len(vectors[0])}"
        )
    return np.array(vectors, np.float64)


def _json_lines(path: Path, id_column: str) -> tuple[list[str], list[list[float]]]:
    ids, vectors = [], []
    with open_text(path) as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = _ROW.decode(line)
                ids.append(msgspec.convert(row.get(id_column), str))
                vectors.append(msgspec.convert(row.get(VECTOR), _VECTOR))
            except (msgspec.DecodeError, msgspec.ValidationError) as error:
                raise UsageError(
                    f"{path}, line {number}: expected {id_column!r} and {VECTOR!r}, a list of numbers: {error}"
                ) from error
    return ids, vectors


def _parquet(path: Path, id_column: str) -> tuple[list[str], list[Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
    except pa.ArrowInvalid as error:
        raise UsageError(f"{path} is not a Parquet file: {error}") from error
    if lacking := {id_column, VECTOR} - set(file.schema_arrow.names):
        raise UsageError(
            f"{path} must have the columns {id_column} and {VECTOR}, it lacks {', '.join(sorted(lacking))}"
        )
    table = file.read(columns=[id_column, VECTOR])
    if table[id_column].null_count or table[VECTOR].null_count or table[VECTOR].combine_chunks().flatten().null_count:
        raise UsageError(f"{path}: {id_column} and {VECTOR} must not be null")
    return [str(one) for one in table[id_column].to_pylist()], table[VECTOR].to_pylist()


def _npz(path: Path) -> tuple[list[str], Any]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return [str(one) for one in arrays["ids"].tolist()], arrays["vectors"]
    except (KeyError, ValueError, BadZipFile) as error:
        raise UsageError(f"{path} must hold arrays ids and vectors: {error}") from error
