"""Sorting in memory."""

from collections.abc import Iterable, Iterator
from itertools import groupby


class MemorySorter:
    """See Sorter."""

    def __init__(self) -> None:
        self._rows: list[tuple[str, int, bytes]] = []

    def add(self, rows: Iterable[tuple[str, int, bytes]]) -> None:
        """See Sorter.add."""
        self._rows += rows

    def groups(self) -> Iterator[tuple[str, list[bytes]]]:
        """See Sorter.groups."""
        for key, group in groupby(sorted(self._rows), key=lambda row: row[0]):
            yield key, [payload for _, _, payload in group]

    def close(self) -> None:
        """See Sorter.close."""
