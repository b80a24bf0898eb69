"""A folder on this machine or on any filesystem that pyarrow opens, whose files appear whole or not at all."""

import os
import posixpath
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from stream_scorer.errors import TransientError, UsageError

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
        """Open a local path or a URI such as s3://bucket/prefix.

        Raises UsageError for one that pyarrow does not know, TransientError for one that it cannot reach.
        """
        if "://" not in place:
            return cls(fs.LocalFileSystem(), str(Path(place).absolute()))
        try:
            return cls(*fs.FileSystem.from_uri(place))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            msg = f"a folder must be a local path or a URI that pyarrow opens (s3://bucket/prefix, …), got {place!r}: {error}"
            raise UsageError(msg) from error
        except OSError as error:  # a bucket whose region is not stated is looked for at once
            msg = f"{place.partition('?')[0].rpartition('@')[2]} cannot be opened: {error}"
            raise TransientError(msg) from error

    def paths(self) -> list[str]:
        """Return the paths of all files, hidden ones too, in order; none when the folder is not there."""
        return [entry.path for entry in self.entries()]

    def entries(self) -> list[Entry]:
        """Return all files, hidden ones too, in order of path; none when the folder is not there."""
        with _transient(f"listing {self._root}"):
            infos = self._filesystem.get_file_info(fs.FileSelector(self._root, allow_not_found=True, recursive=True))
        files = [info for info in infos if info.type == fs.FileType.File]
        return sorted(
            Entry(posixpath.relpath(info.path, self._root), info.size, info.mtime_ns // 1_000_000) for info in files
        )

    def read(self, path: str) -> pa.Buffer:
        """Return the bytes of a file."""
        with _transient(f"reading {path}"), self._filesystem.open_input_file(self._at(path)) as file:
            return file.read_buffer()

    def footer(self, path: str) -> pq.FileMetaData:
        """Return what the end of a Parquet file tells of it; no more is read. Raises UsageError for another file."""
        with _transient(f"reading {path}"), self._filesystem.open_input_file(self._at(path)) as file:
            try:
                return pq.read_metadata(file)
            except pa.ArrowInvalid as error:
                raise _not_ours(path, error) from error

    def table(self, path: str) -> pa.Table:
        """Read a Parquet file. Raises UsageError for another file."""
        try:
            return pq.read_table(pa.BufferReader(self.read(path)))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise _not_ours(path, error) from error

    def find(self, path: str) -> pa.Buffer | None:
        """Return the bytes of a file, None when it is not there."""
        with _transient(f"looking for {path}"):
            there = self._filesystem.get_file_info(self._at(path)).type == fs.FileType.File
        return self.read(path) if there else None

    def write(self, path: str, data: bytes) -> None:
        """Let a file appear, or replace it, whole or not at all; on this machine it is on disk when this returns."""
        with _transient(f"writing {path}"):
            if self._filesystem.type_name in _OBJECT_STORES:
                self._put(self._at(path), data)
            else:
                self._put_aside(self._at(path), data)

    def delete(self, paths: Iterable[str]) -> None:
        """Remove files; one that is gone already is no error."""
        for path in paths:
            with _transient(f"removing {path}"):
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


@contextmanager
def _transient(doing: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        msg = f"{doing}: {error}"
        raise TransientError(msg) from error
