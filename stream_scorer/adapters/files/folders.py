"""A folder on this machine, or on any filesystem that pyarrow opens, whose files appear whole or not at all."""

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
# Storage services report these in their messages alone, and no retry cures them.
_REFUSALS = (
    "not found",
    "NO_SUCH_BUCKET",
    "ACCESS_DENIED",
    "INVALID_ACCESS_KEY_ID",
    "SIGNATURE",
    "UNAUTHORIZED",
    "FORBIDDEN",
)
# A single put makes an object appear whole in these, and a rename would copy the object.
_OBJECT_STORES = {"s3", "gcs", "abfs"}


class Entry(NamedTuple):
    """What a listing states of a file; `path` is relative to the folder."""

    path: str
    size_bytes: int
    modified_ms: int


class Folder:
    """Files by their path inside the folder.

    A failure of the filesystem raises TransientError, or UsageError where trying again cannot help.
    """

    def __init__(self, filesystem: fs.FileSystem, root: str) -> None:
        """Use the folder `root` of this filesystem; the first write creates it."""
        self._filesystem, self._root = filesystem, root.rstrip("/")

    @classmethod
    def open(cls, place: str) -> "Folder":
        """Open a local path, where ~ is the user's home, or a URI such as s3://bucket/prefix.

        Raises UsageError for a place that pyarrow does not know or that does not exist, TransientError for a place that
        cannot be reached.
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

    def paths(self, below: str = "") -> list[str]:
        """Return the paths of all files, also hidden ones, in order; see `entries`."""
        return [entry.path for entry in self.entries(below)]

    def entries(self, below: str = "") -> list[Entry]:
        """Return all files, also hidden ones, in order of path; none where the folder does not exist.

        With `below`, only the files below that folder inside it.
        """
        at = self._at(below) if below else self._root
        with _reached(f"listing {at}"):
            infos = self._filesystem.get_file_info(fs.FileSelector(at, allow_not_found=True, recursive=True))
        files = [info for info in infos if info.type == fs.FileType.File]
        return sorted(
            Entry(posixpath.relpath(info.path, self._root), info.size, info.mtime_ns // 1_000_000) for info in files
        )

    def read(self, path: str) -> pa.Buffer:
        """Return the bytes of a file."""
        with _reached(f"reading {path}"), self._filesystem.open_input_file(self._at(path)) as file:
            return file.read_buffer()

    def footer(self, path: str) -> pq.FileMetaData:
        """Return the metadata at the end of a Parquet file, without reading the rest.

        Raises UsageError for a file that is damaged or not Parquet.
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
        """Raise UsageError where the bytes are not Parquet.

        Arrow raises the same error for bad bytes as for a broken network. So the whole file is read and parsed from
        memory, where the bytes alone can be at fault.
        """
        try:
            pq.read_metadata(pa.BufferReader(self.read(path)))
        except (pa.ArrowException, OSError):
            raise _not_ours(path, error) from error

    def table(self, path: str, columns: list[str] | None = None) -> pa.Table:
        """Read a Parquet file, or some of its columns.

        Raises UsageError for a file that is damaged or not Parquet, and for a file that unpacks to far more than
        columns of data do.
        """
        data = self.read(path)
        try:
            check_columns(path, data.size, pq.read_metadata(pa.BufferReader(data)))
            return pq.read_table(pa.BufferReader(data), columns=columns)
        except (pa.ArrowException, OSError) as error:
            raise _not_ours(path, error) from error

    def has(self, path: str) -> bool:
        """Return whether a file exists."""
        with _reached(f"looking for {path}"):
            return bool(self._filesystem.get_file_info(self._at(path)).type == fs.FileType.File)

    def find(self, path: str) -> pa.Buffer | None:
        """Return the bytes of a file, or None where it does not exist."""
        return self.read(path) if self.has(path) else None

    def write(self, path: str, data: bytes) -> None:
        """Create or replace a file, whole or not at all; a local file is safely on disk when this returns."""
        with _reached(f"writing {path}"):
            if self._filesystem.type_name in _OBJECT_STORES:
                self._put(self._at(path), data)
            else:
                self._put_aside(self._at(path), data)

    def check_writable(self) -> None:
        """Write and remove an empty file in a local folder, which is created where it is missing.

        Raises UsageError or TransientError where that fails. An object store is not tried, since its key may be allowed
        to write and not to delete, and the trial's file would stay.
        """
        if self._filesystem.type_name != "local":
            return
        at = self._at(f".writable-{uuid4().hex}")  # unique, since several buffers may share the folder
        with _reached(f"writing to {self._root}"):
            self._filesystem.create_dir(self._root, recursive=True)
            self._put(at, b"")
            self._filesystem.delete_file(at)

    def delete(self, paths: Iterable[str]) -> None:
        """Remove files; a file that is gone already is not an error."""
        for path in paths:
            with _reached(f"removing {path}"):
                if self._filesystem.get_file_info(self._at(path)).type != fs.FileType.NotFound:
                    self._filesystem.delete_file(self._at(path))

    def _at(self, path: str) -> str:
        return f"{self._root}/{path}"

    def _put(self, at: str, data: bytes) -> None:
        # Unless it is switched off, pyarrow compresses a file whose name ends like a packed file's.
        with self._filesystem.open_output_stream(at, compression=None) as stream:
            stream.write(data)

    def _put_aside(self, at: str, data: bytes) -> None:
        folder, name = posixpath.split(at)
        aside = f"{folder}/.{name}.tmp"  # hidden, so readers pass over it
        self._filesystem.create_dir(folder, recursive=True)
        self._put(aside, data)
        self._sync(aside)
        self._filesystem.move(aside, at)
        self._sync(folder)  # the new name is an entry of the folder, which has to reach the disk as well

    def _sync(self, at: str) -> None:
        if self._filesystem.type_name != "local":
            return
        # Readers rely on a file's name alone. So its bytes must be on disk before it has that name: otherwise a power
        # cut could leave an empty file under the name of a whole file.
        handle = os.open(at, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _not_ours(path: str, error: Exception) -> UsageError:
    return UsageError(f"{path} is no Parquet file of ours, remove it or put it right: {error}")


def local_path(place: str) -> Path:
    """Return a path on this machine; ~ stands for the user's home.

    Raises UsageError for the home of an unknown user.
    """
    try:
        return Path(place).expanduser()
    except RuntimeError as error:
        raise UsageError(f"{place}: {error}") from error


def shown_place(place: str) -> str:
    """Return a URI without the parts that may be secret: user, password and options."""
    scheme, mark, rest = place.partition("?")[0].partition("://")
    return f"{scheme}{mark}{rest.rpartition('@')[2]}"


def _bounded(place: str) -> str:
    # By default pyarrow retries Google's storage for a quarter of an hour before it reports anything.
    if not place.startswith(("gs://", "gcs://")) or "retry_limit_seconds" in place:
        return place
    return f"{place}{'&' if '?' in place else '?'}retry_limit_seconds={_RETRY_S}"


@contextmanager
def _reached(doing: str) -> Iterator[None]:
    """Translate a filesystem's OSError to TransientError, or to UsageError where trying again cannot help."""
    try:
        yield
    except OSError as error:
        if isinstance(error, _WRONG_PLACE) or any(word in str(error) for word in _REFUSALS):
            raise UsageError(f"{doing}: {error} (is the place right, and may this user see it?)") from error
        raise TransientError(f"{doing}: {error}") from error
