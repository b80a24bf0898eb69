"""Labelled examples from files: CSV, JSON lines, or Parquet as the training buffer writes it.

A file, or a folder of them.

Required are `customer_id`, `offer_id` and `accepted`; every other column of LabelledExample may be absent. Of an
example only its latest revision is read, so files are read twice: once for the revisions, then in chunks.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from stream_scorer.adapters.files.example_formats import (
    Hashes,
    RawChunk,
    csv_rows,
    json_rows,
    parquet,
    parquet_revisions,
)
from stream_scorer.adapters.tables.layouts import LABELS
from stream_scorer.adapters.tables.lines import JSON_LINES, suffix_of
from stream_scorer.adapters.tables.reader import TableFile
from stream_scorer.adapters.tables.times import SecondsCheck
from stream_scorer.core.buffer.buffer_files import files_of, superseded
from stream_scorer.core.datasets.chunks import ExampleChunk, Ints
from stream_scorer.errors import UsageError

_INT32_MAX = 2**31 - 1
_SUFFIXES = (*JSON_LINES, ".csv", ".parquet")


@dataclass(frozen=True, slots=True)
class ExampleFiles:
    """See ExampleSource. Raises UsageError with file, line and reason for a row that is no example."""

    files: tuple[Path, ...]
    _kept: list[npt.NDArray[np.uint8]] = field(default_factory=list, repr=False, compare=False)

    @staticmethod
    def at(path: Path) -> "ExampleFiles":
        """Find the files of a path: itself, or all below a folder, in order of name."""
        files = sorted(_below(path)) if path.is_dir() else [path] if path.is_file() else []
        if not files:
            raise UsageError(
                f"no labelled examples at {path}: expected a .jsonl, .csv or .parquet file, or a folder of them"
            )
        if wrong := [file for file in files if suffix_of(file) not in _SUFFIXES]:
            raise UsageError(f"labelled examples are read from .jsonl, .csv or .parquet files, got {wrong[0]}")
        return ExampleFiles(tuple(files))

    def chunks(self) -> Iterator[ExampleChunk]:
        """See ExampleSource."""
        keep, start = self._latest(), 0
        for raw in self._raw():
            kept = raw.kept(keep[start : start + len(raw)])
            start += len(raw)
            if len(kept):
                yield kept.parsed()

    def refusals(self) -> Iterator[UsageError]:
        """Yield why rows are no examples, row by row; a file that is no table has one reason."""
        for file in self.files:
            try:
                rows = TableFile(file, LABELS).rows_or_refusals()
                yield from (row for _, row in rows if isinstance(row, UsageError))
            except UsageError as refusal:
                yield refusal

    def _latest(self) -> npt.NDArray[np.bool_]:
        """Mark the rows to read; found once, and kept as bits."""
        if not self._kept:
            keep = _latest(self._revisions())
            self._kept.extend([np.packbits(keep), np.array([len(keep) % 8], np.uint8)])
        bits, rest = self._kept
        unpacked = np.unpackbits(bits).view(np.bool_)
        return unpacked[: len(unpacked) - (8 - int(rest[0])) % 8]

    def _raw(self) -> Iterator[RawChunk]:
        for file in self.files:
            check = SecondsCheck(file, "request_time_ms")
            for raw in _chunks_of(file):
                check.look_at(raw.request_time_ms)
                yield raw

    def _revisions(self) -> Iterator[tuple[Hashes, Ints]]:
        for file in self.files:
            if suffix_of(file) == ".parquet":
                yield from parquet_revisions(file)
            else:
                yield from ((raw.example, raw.revision) for raw in _chunks_of(file))


def _chunks_of(file: Path) -> Iterator[RawChunk]:
    suffix = suffix_of(file)
    if suffix == ".parquet":
        return parquet(file)
    return csv_rows(file) if suffix == ".csv" else json_rows(file)


def _below(folder: Path) -> list[Path]:
    files = [
        file
        for file in folder.rglob("*")
        if file.is_file() and suffix_of(file) in _SUFFIXES and suffix_of(file) != ".json"
    ]
    shown = [file for file in files if not any(part.startswith((".", "_")) for part in file.relative_to(folder).parts)]
    # files that the training buffer has merged stay for a while: their rows are in the merged file too
    replaced = {
        folder / old.path for old in superseded(files_of(file.relative_to(folder).as_posix() for file in shown))
    }
    return [file for file in shown if file not in replaced]


def _latest(revisions: Iterator[tuple[Hashes, Ints]]) -> npt.NDArray[np.bool_]:
    """Mark the row of each example with the highest revision, the last of them in reading order.

    Rows without an id all stay.
    """
    hashes, numbers = [], []
    for part, revision in revisions:
        hashes.append(part)
        # half the memory for the revisions that the join writes; others are as large as they like
        numbers.append(revision if revision.max(initial=0) > _INT32_MAX else revision.astype(np.int32))
    examples, revised = _joined(hashes), _joined(numbers)
    several = len(revised) and revised.max() > revised.min()
    order = np.lexsort((revised, examples)) if several else np.argsort(examples, kind="stable")
    del revised
    in_order = examples[order]
    last = np.append(in_order[:-1] != in_order[1:], True) | (in_order == 0)
    keep = np.empty(len(examples), np.bool_)
    keep[order] = last[: len(order)]
    return keep


def _joined(parts: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Concatenate, and let go of the parts."""
    joined = np.concatenate(parts) if parts else np.zeros(0, np.int64)
    parts.clear()
    return joined
