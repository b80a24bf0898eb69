"""Sorting on disk with the standard library's SQLite."""

import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

CACHE_KIB = 16_384
_NO_SAFETY = (
    "journal_mode = OFF",
    "synchronous = OFF",
    "locking_mode = EXCLUSIVE",
    "temp_store = FILE",
    f"cache_size = -{CACHE_KIB}",
)


class SqliteSorter:
    """See Sorter. Holds at most about 16 MiB in memory; the file goes when it is closed."""

    def __init__(self, folder: Path | None = None) -> None:
        """Sort in this folder, else in the system's for temporary files."""
        self._folder = tempfile.TemporaryDirectory(prefix="stream-scorer-sort-", dir=folder)
        self._rows = sqlite3.connect(Path(self._folder.name) / "rows", isolation_level=None)
        for pragma in _NO_SAFETY:
            self._rows.execute(f"PRAGMA {pragma}")
        self._rows.execute("CREATE TABLE rows (key TEXT, place INTEGER, payload BLOB)")

    def add(self, rows: Iterable[tuple[str, int, bytes]]) -> None:
        """See Sorter.add."""
        self._rows.execute("BEGIN")
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
