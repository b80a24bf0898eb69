"""A folder on this machine or on any filesystem that pyarrow opens, whose files appear whole or not at all."""

import os
import posixpath
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from stream_scorer.adapters.tables.unpacked import check_columns
from stream_scorer.errors import TransientError, UsageError

_RETRY_S = 30
_WRONG_PLACE = (PermissionError, NotADirectoryError, IsADirectoryError)
# a storage's own words for what no retry heals
_REFUSALS = (
    "not found",
    "NO_SUCH_BUCKET",
    "ACCESS_DENIED",
    "INVALID_ACCESS_KEY_ID",
    "SIGNATURE",
    "UNAUTHORIZED",
    "FORBIDDEN",
)
# one put makes an object appear whole there, and a rename would be a copy
_OBJECT_STORES = {"s3", "gcs", "abfs"}


class Entry(NamedTuple):
    """What a listing says of a file."""

    path: str
    size_bytes: int
    modified_ms: int


class Folder:
    """Files by their path inside the folder. Trouble of the filesystem is a TransientError."""

    def __init__(self, filesystem: fs.FileSystem, root: str) -> None:
        """Use `root` of this filesystem; it is made when the first file is written."""
        self._filesystem, self._root = filesystem, root.rstrip("/")

    @classmethod
    def open(cls, place: str) -> "Folder":
        """Open a local path, where ~ is the user's own, or a URI such as s3://bucket/prefix.

        Raises UsageError for a place that pyarrow does not know or that is not there, TransientError when it cannot be
        reached.
        """
        if "://" not in place:
            return cls(fs.LocalFileSystem(), str(local_path(place).absolute()))
        with _reached(f"opening {shown_place(place)}"):
            try:
                return cls(*fs.FileSystem.from_uri(_bounded(place)))
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
                reason = str(error).replace(place, shown_place(place))
                raise UsageError(
                    f"a folder must be a local path or a URI that pyarrow opens (s3://bucket/prefix, …), "
                    f"got {shown_place(place)!r}: {reason}"
                ) from error

    def paths(self) -> list[str]:
        """Return the paths of all files, hidden ones too, in order; none when the folder is not there."""
        return [entry.path for entry in self.entries()]

    def entries(self) -> list[Entry]:
        """Return all files, hidden ones too, in order of path; none when the folder is not there."""
        with _reached(f"listing {self._root}"):
            infos = self._filesystem.get_file_info(fs.FileSelector(self._root, allow_not_found=True, recursive=True))
        files = [info for info in infos if info.type == fs.FileType.File]
        return sorted(
            Entry(posixpath.relpath(info.path, self._root), info.size, info.mtime_ns // 1_000_000) for info in files
        )

    def read(self, path: str) -> pa.Buffer:
        """Return the bytes of a file."""
        with _reached(f"reading {path}"), self._filesystem.open_input_file(self._at(path)) as file:
            return file.read_buffer()

    def footer(self, path: str) -> pq.FileMetaData:
        """Return what the end of a Parquet file says of it; no more is read.

        Raises UsageError for another or a damaged file.
        """
        with _reached(f"reading {path}"), self._filesystem.open_input_file(self._at(path)) as file:
            try:
                return pq.read_metadata(file)
            except pa.ArrowException as error:
                raise _not_ours(path, error) from error
            except OSError as error:
                self._check_bytes(path, error)
                raise

    def _check_bytes(self, path: str, error: OSError) -> None:
        """Raise UsageError where the bytes are no Parquet: Arrow raises the same error for them as for a network."""
        try:
            pq.read_metadata(pa.BufferReader(self.read(path)))
        except (pa.ArrowException, OSError):
            raise _not_ours(path, error) from error

    def table(self, path: str, columns: list[str] | None = None) -> pa.Table:
        """Read a Parquet file, or some of its columns.

        Raises UsageError for another or a damaged file, and for one that unpacks to more than columns of data do.
        """
        data = self.read(path)
        try:
            check_columns(path, data.size, pq.read_metadata(pa.BufferReader(data)))
            return pq.read_table(pa.BufferReader(data), columns=columns)
        except (pa.ArrowException, OSError) as error:
            raise _not_ours(path, error) from error

    def find(self, path: str) -> pa.Buffer | None:
        """Return the bytes of a file, None when it is not there."""
        with _reached(f"looking for {path}"):
            there = self._filesystem.get_file_info(self._at(path)).type == fs.FileType.File
        return self.read(path) if there else None

    def write(self, path: str, data: bytes) -> None:
        """Let a file appear, or replace it, whole or not at all; on this machine it is on disk when this returns."""
        with _reached(f"writing {path}"):
            if self._filesystem.type_name in _OBJECT_STORES:
                self._put(self._at(path), data)
            else:
                self._put_aside(self._at(path), data)

    def check_writable(self) -> None:
        """Write and remove an empty file in a local folder, which is made where it is missing.

        Raises UsageError or TransientError where that fails. An object store is not tried: a key may be allowed to
        write there and not to delete.
        """
        if self._filesystem.type_name != "local":
            return
        at = self._at(f".writable-{uuid4().hex}")  # several buffers may share the folder
        with _reached(f"writing to {self._root}"):
            self._filesystem.create_dir(self._root, recursive=True)
            self._put(at, b"")
            self._filesystem.delete_file(at)

    def delete(self, paths: Iterable[str]) -> None:
        """Remove files; one that is gone already is no error."""
        for path in paths:
            with _reached(f"removing {path}"):
                if self._filesystem.get_file_info(self._at(path)).type != fs.FileType.NotFound:
                    self._filesystem.delete_file(self._at(path))

    def _at(self, path: str) -> str:
        return f"{self._root}/{path}"

    def _put(self, at: str, data: bytes) -> None:
        with self._filesystem.open_output_stream(at, compression=None) as stream:
            stream.write(data)

    def _put_aside(self, at: str, data: bytes) -> None:
        folder, name = posixpath.split(at)
        aside = f"{folder}/.{name}.tmp"  # readers leave hidden files out
        self._filesystem.create_dir(folder, recursive=True)
        self._put(aside, data)
        self._sync(aside)
        self._filesystem.move(aside, at)
        self._sync(folder)

    def _sync(self, at: str) -> None:
        if self._filesystem.type_name != "local":
            return
        # the names alone tell where to go on: a file that a power cut emptied must not have its name
        handle = os.open(at, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _not_ours(path: str, error: Exception) -> UsageError:
    return UsageError(f"{path} is no Parquet file of ours, remove it or put it right: {error}")


def local_path(place: str) -> Path:
    """Return a path on this machine; ~ is the user's own folder.

    Raises UsageError for the folder of a user who is not there.
    """
    try:
        return Path(place).expanduser()
    except RuntimeError as error:
        raise UsageError(f"{place}: {error}") from error


def shown_place(place: str) -> str:
    """Return a URI without what may be secret in it: the user and password, and the options."""
    scheme, mark, rest = place.partition("?")[0].partition("://")
    return f"{scheme}{mark}{rest.rpartition('@')[2]}"


def _bounded(place: str) -> str:
    # pyarrow retries Google's storage for a quarter of an hour
    if not place.startswith(("gs://", "gcs://")) or "retry_limit_seconds" in place:
        return place
    return f"{place}{'&' if '?' in place else '?'}retry_limit_seconds={_RETRY_S}"


@contextmanager
def _reached(doing: str) -> Iterator[None]:
    """Raise what a filesystem's trouble is: TransientError, or UsageError where trying again cannot help."""
    try:
        yield
    except OSError as error:
        if isinstance(error, _WRONG_PLACE) or any(word in str(error) for word in _REFUSALS):
            raise UsageError(f"{doing}: {error} (is the place right, and may this user see it?)") from error
        raise TransientError(f"{doing}: {error}") from error
