"""Vectors by id from files: a table with columns of ids and `vector`, or .npz with arrays `ids` and `vectors`."""

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stream_scorer.adapters.tables.kinds import ID, Misfit
from stream_scorer.adapters.tables.layouts import vectors_layout
from stream_scorer.adapters.tables.lines import suffix_of
from stream_scorer.adapters.tables.reader import TableFile
from stream_scorer.adapters.tables.unpacked import check_archive
from stream_scorer.core.features.spec import Floats
from stream_scorer.core.towers.given_vectors import VECTOR, GivenVectors
from stream_scorer.errors import BadModel, UsageError

# What a damaged archive makes zipfile and numpy raise. MemoryError is among them, since an array's header may claim any
# shape, and numpy allocates it before it reads the numbers.
_TORN = (
    KeyError,
    ValueError,
    TypeError,
    EOFError,
    zipfile.BadZipFile,
    zlib.error,
    NotImplementedError,
    RuntimeError,
    MemoryError,
)


def read_vectors(path: Path, id_column: str) -> GivenVectors:
    """Read a file of vectors (n, p), whose ids a table has in `id_column`.

    Raises UsageError, with file, row and reason, for a file that does not exist or is damaged, and for vectors that are
    null, not numbers, of several lengths, zero or not finite, or whose id repeats.
    """
    if not path.is_file():
        raise UsageError(f"{path} is not a file of vectors")
    try:
        return _npz(path) if suffix_of(path) == ".npz" else _table(path, id_column)
    except BadModel as error:
        raise UsageError(f"{path}: {error}") from error


def _table(path: Path, id_column: str) -> GivenVectors:
    table = TableFile(path, vectors_layout(id_column))
    ids: list[str] = []
    vectors: list[Sequence[Any]] = []
    for number, row in table.rows():
        for name in (id_column, VECTOR):
            if row.get(name) is None:
                raise UsageError(f"{path}, {table.unit} {number}: {name} must not be null or absent")
        if vectors and len(row[VECTOR]) != len(vectors[0]):
            raise UsageError(
                f"{path}, {table.unit} {number}: the vector of {row[id_column]!r} has {len(row[VECTOR])} numbers, "
                f"the first vector {len(vectors[0])}"
            )
        ids.append(row[id_column])
        vectors.append(row[VECTOR])
    return GivenVectors(tuple(ids), np.array(vectors, np.float64))


def _npz(path: Path) -> GivenVectors:
    try:
        with zipfile.ZipFile(path) as archive:
            check_archive(path, archive)
        with np.load(path, allow_pickle=False) as arrays:  # a pickle could run code of whoever made the file
            ids, vectors = arrays["ids"].tolist(), np.asarray(arrays["vectors"])
        return GivenVectors(tuple(ID.convert(each) for each in ids), _floats(vectors))
    except Misfit as misfit:
        raise UsageError(f"{path}: ids: {misfit}") from misfit
    except _TORN as error:
        raise UsageError(f"{path} must hold arrays ids and vectors: {error}") from error


def _floats(vectors: np.ndarray[Any, Any]) -> Floats:
    if vectors.dtype.kind not in "fiu":
        raise ValueError(f"vectors must be numbers, got {vectors.dtype}")
    return vectors.astype(np.float64)
