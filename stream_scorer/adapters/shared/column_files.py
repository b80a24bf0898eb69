"""Arrays in a file, to be mapped into memory: a head of fixed size, then each array from the start of a page.

Not safetensors, whose arrays lie anywhere: an array that begins a page can be mapped by itself, writable, so that only
the pages that are written take memory. Nothing in a file can run code, and a file that is not what was written is
refused by its SHA-256 digest.
"""

import hashlib
import mmap
import os
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import msgspec
import numpy as np
from numpy.typing import NDArray

from stream_scorer.errors import ReleaseError

FORMAT = 1
PAGE_BYTES = max(mmap.ALLOCATIONGRANULARITY, mmap.PAGESIZE)
HEAD_BYTES = PAGE_BYTES
COPIED_BYTES = 2**20  # at a time

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class _ArrayPlace:
    dtype: str
    shape: list[int]
    start: int

    @property
    def count(self) -> int:
        return int(np.prod(self.shape))


@dataclass(frozen=True, slots=True)
class _FileHead:
    format: int
    sha256: str
    columns: dict[str, _ArrayPlace]


def write_columns(file: BinaryIO, columns: Mapping[str, Array]) -> None:
    """Write the arrays to an empty file. Raises OSError, for a full disk before anything is written."""
    places, end = {}, HEAD_BYTES
    for name, column in columns.items():
        places[name] = _ArrayPlace(column.dtype.str, list(column.shape), end)
        end = _next_page(end + column.nbytes)
    # A mapped file that the disk has no room for would end a process by SIGBUS, so all room is taken first.
    os.posix_fallocate(file.fileno(), 0, end)
    digest = hashlib.sha256(_digested(places))
    for name, column in columns.items():
        file.seek(places[name].start)
        data = _bytes(column)
        file.writelines(data[start : start + COPIED_BYTES] for start in range(0, len(data), COPIED_BYTES))
        digest.update(data)
    head = msgspec.json.encode(_FileHead(FORMAT, digest.hexdigest(), places))
    file.seek(0)
    file.write(head.ljust(HEAD_BYTES - 1) + b"\n")
    file.flush()


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class MappedColumns:
    """The arrays of a file, read-only. The file stays open for as long as this or an array of it is used."""

    file: BinaryIO
    columns: dict[str, Array]
    _head: _FileHead

    def writable(self, name: str) -> Array:
        """Return an array once more, whose changes stay in this process; what is not written takes no memory."""
        place, like = self._head.columns[name], self.columns[name]
        if not like.nbytes:
            return like.copy()
        memory = mmap.mmap(self.file.fileno(), like.nbytes, access=mmap.ACCESS_COPY, offset=place.start)
        return np.frombuffer(memory, like.dtype, like.size).reshape(like.shape)


def map_columns(file: BinaryIO) -> MappedColumns:
    """Map the arrays of a file, which the result closes.

    Raises ReleaseError where the file is not what was written, and leaves it to the caller to close it.
    """
    size = os.fstat(file.fileno()).st_size
    if size < HEAD_BYTES:
        raise ReleaseError(f"it has {size} bytes, fewer than its head")
    memory = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)
    try:
        head = msgspec.json.decode(memory[:HEAD_BYTES], type=_FileHead)
        columns = {name: _array(memory, place) for name, place in head.columns.items()}
    except (msgspec.MsgspecError, ValueError, TypeError, OverflowError) as error:
        raise ReleaseError(f"its head cannot be read: {error}") from error
    digest = hashlib.sha256(_digested(head.columns))
    for column in columns.values():
        digest.update(_bytes(column))
    if head.format != FORMAT or digest.hexdigest() != head.sha256:
        raise ReleaseError("its digest is not that of what was written")
    mapped = MappedColumns(file, columns, head)
    weakref.finalize(mapped, file.close)  # a mapping has a descriptor of its own, which ends with it
    return mapped


def _bytes(column: Array) -> memoryview:
    # a view of an empty array cannot be cast
    return np.ascontiguousarray(column).data.cast("B") if column.nbytes else memoryview(b"")


def _array(memory: mmap.mmap, place: _ArrayPlace) -> Array:
    if np.dtype(place.dtype).hasobject:
        raise ValueError("it names objects")
    return np.frombuffer(memory, place.dtype, place.count, place.start).reshape(place.shape)


def _digested(places: Mapping[str, _ArrayPlace]) -> bytes:
    return msgspec.json.encode(places)


def _next_page(place: int) -> int:
    return -(-place // PAGE_BYTES) * PAGE_BYTES
