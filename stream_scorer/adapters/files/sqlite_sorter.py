"""Sorts on disk, with the SQLite of the standard library."""

import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

CACHE_KIB = 16_384
# The file is thrown away with the process, so nothing in it has to survive a crash. SQLite reads a negative cache_size
# as KiB.
_NO_SAFETY = (
    "journal_mode = OFF",
    "synchronous = OFF",
    "locking_mode = EXCLUSIVE",
    "temp_store = FILE",
    f"cache_size = -{CACHE_KIB}",
)


class SqliteSorter:
    """See Sorter. It takes at most about 16 MiB of memory, and closing it removes its file."""

    def __init__(self, folder: Path | None = None) -> None:
        """Sort in this folder, or else in the system's folder for temporary files."""
        self._folder = tempfile.TemporaryDirectory(prefix="stream-scorer-sort-", dir=folder)
        self._rows = sqlite3.connect(Path(self._folder.name) / "rows", isolation_level=None)
        for pragma in _NO_SAFETY:
            self._rows.execute(f"PRAGMA {pragma}")
        self._rows.execute("CREATE TABLE rows (key TEXT, place INTEGER, payload BLOB)")

    def add(self, rows: Iterable[tuple[str, int, bytes]]) -> None:
        """See Sorter.add."""
        self._rows.execute("BEGIN")  # otherwise each row would be a transaction of its own, and slow
        self._rows.executemany("INSERT INTO rows VALUES (?, ?, ?)", rows)
        self._rows.execute("COMMIT")

    def groups(self) -> Iterator[tuple[str, list[bytes]]]:
        """See Sorter.groups."""
        rows = self._rows.execute("SELECT key, payload FROM rows ORDER BY key, place")
        for key, group in groupby(rows, key=lambda row: row[0]):
            yield key, [payload for _, payload in group]

    def close(self) -> None:
        """See Sorter.close."""
        self._rows.close()
        self._folder.cleanup()
