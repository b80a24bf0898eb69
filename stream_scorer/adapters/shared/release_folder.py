"""A folder of this machine in which rankers keep each release once, to map it into their memory.

The first process that needs a release writes its file, under a lock, beside its place, and renames it there; all map
it. A mapping keeps a shared lock on its file, so that whoever adds a release can tell which files nobody uses any
longer, and removes them. Whatever goes wrong here costs memory alone: the process then keeps a release for itself, and
says why.
"""

import ctypes
import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO, cast

import structlog

from stream_scorer.adapters.shared.column_files import FORMAT, MappedColumns, map_columns, write_columns
from stream_scorer.adapters.shared.shared_catalog import catalog_over, columns_of
from stream_scorer.core.messages import ReleaseId
from stream_scorer.core.releases.catalog import Catalog, Vectors
from stream_scorer.errors import ReleaseError

WAITS_S = 60.0  # for another process to write a release: longer than ten million offers take
_LOOK_EVERY_S = 0.05
_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH
_SUFFIX, _UNFINISHED = ".columns", ".unfinished"

_log = structlog.get_logger(__name__)


class ReleaseFolder:
    """See ShareCatalog, which calling it does."""

    def __init__(self, folder: Path, *, waits_s: float = WAITS_S) -> None:
        self._folder, self._waits_s = folder, waits_s

    def __call__(self, release_id: ReleaseId, digest: str, make: Callable[[], Catalog]) -> Catalog:
        """See ShareCatalog."""
        made: Catalog | None = None

        def once() -> Catalog:
            nonlocal made
            made = make()
            return made

        path = self._folder / f"{release_id}-{digest[:16]}-{FORMAT}{_SUFFIX}"
        try:
            self._check_folder()
            mapped = self._mapped(path) or self._written(path, once)
            self._sweep(path)
            return catalog_over(release_id, mapped.columns, partial(_vectors, mapped))
        except (OSError, _NotShared) as error:
            _log.warning(
                "release_not_shared",
                folder=str(self._folder),
                release_id=release_id,
                reason=str(error),
                effect="this process keeps the release's offers in memory of its own",
            )
        return make() if made is None else made

    def _check_folder(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check_owner(self._folder.stat(), f"the folder {self._folder}")

    def _written(self, path: Path, make: Callable[[], Catalog]) -> MappedColumns:
        """Write the release, unless another process did so while this one waited for the lock."""
        with self._writing():
            mapped = self._mapped(path)
            if mapped is None:
                self._write(path, make())
                _give_back_freed_memory()
                mapped = self._mapped(path)
        if mapped is None:
            raise _NotShared(f"{path.name} was removed as soon as it was written")
        return mapped

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with _opened(self._folder / "lock", os.O_RDWR | os.O_CREAT) as lock:
            until_s = time.monotonic() + self._waits_s
            while not _locks(lock, fcntl.LOCK_EX):
                if time.monotonic() > until_s:
                    raise _NotShared(f"another process has been writing a release for {self._waits_s:.0f} s")
                time.sleep(_LOOK_EVERY_S)
            yield  # closing the file gives the lock back

    def _write(self, path: Path, catalog: Catalog) -> None:
        unfinished = path.with_suffix(_UNFINISHED)
        # under the lock nobody else writes: what is there is of a process that was killed
        unfinished.unlink(missing_ok=True)
        try:
            with _opened(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL) as file:
                write_columns(file, columns_of(catalog))
            unfinished.replace(path)
        except OSError:
            unfinished.unlink(missing_ok=True)
            raise

    def _mapped(self, path: Path) -> MappedColumns | None:
        """Return the arrays of a release's file, locked for as long as they are used; None where there is none."""
        try:
            file = _opened(path, os.O_RDONLY)
        except FileNotFoundError:
            return None
        try:
            return _locked_columns(file, path)
        except ReleaseError as error:
            file.close()
            if isinstance(error, _NotShared):
                raise
            _log.warning("shared_release_damaged", file=str(path), reason=str(error), effect="it is written anew")
            return None

    def _sweep(self, current: Path) -> None:
        """Remove the files of other releases that no process has mapped."""
        for path in self._folder.glob(f"*{_SUFFIX}"):
            if path == current:
                continue
            try:
                with _opened(path, os.O_RDONLY) as file:
                    if _locks(file, fcntl.LOCK_EX):
                        path.unlink()
            except OSError as error:
                _log.warning("shared_release_not_removed", file=str(path), reason=str(error))


class _NotShared(ReleaseError):
    """The folder cannot be used now."""


def _locked_columns(file: BinaryIO, path: Path) -> MappedColumns | None:
    """Return the arrays of a file, locked against removal; None, and the file closed, where it is being removed."""
    status = os.fstat(file.fileno())
    _check_owner(status, path.name)
    if _locks(file, fcntl.LOCK_SH) and _is_at(path, status):
        return map_columns(file)
    file.close()
    return None


def _vectors(mapped: MappedColumns) -> Vectors:
    try:
        return cast("Vectors", mapped.writable("vectors"))
    except OSError:  # too many mappings, or none may be made: a copy does as well
        return cast("Vectors", mapped.columns["vectors"].copy())


def _give_back_freed_memory() -> None:
    """Return to the system what the objects took of which the file was made; a C library without the call keeps it."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _opened(path: Path, flags: int) -> BinaryIO:
    """Open a file for this user alone. Raises OSError, also for a symbolic link."""
    return os.fdopen(
        os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600), "rb" if flags == os.O_RDONLY else "r+b"
    )


def _locks(file: BinaryIO, kind: int) -> bool:
    """Take a lock unless another process has one in its way; it ends with the last mapping of the file."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(path: Path, status: os.stat_result) -> bool:
    try:
        now = path.stat()
    except FileNotFoundError:
        return False
    return (now.st_dev, now.st_ino) == (status.st_dev, status.st_ino)


def _check_owner(status: os.stat_result, what: str) -> None:
    """Raise ReleaseError for a file or folder that another user owns or may write to."""
    if status.st_uid != os.geteuid():
        raise _NotShared(f"{what} belongs to user {status.st_uid}, this process runs as {os.geteuid()}")
    if status.st_mode & _OTHERS_MAY_WRITE:
        raise _NotShared(f"others may write to {what}: chmod go-w")
