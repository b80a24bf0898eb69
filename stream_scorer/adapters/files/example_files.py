"""Labelled examples from a file or a folder of files: CSV, JSON lines, or Parquet as the training buffer writes it.

The columns `customer_id`, `offer_id` and `accepted` are required; every other column of LabelledExample may be absent.
Only the latest revision of an example counts, so the files are read twice: first for the revisions, then in chunks.
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
    """See ExampleSource. Reading raises UsageError, with file, line and reason, for a row that is not an example."""

    files: tuple[Path, ...]
    # which rows to read, computed on the first reading; a list, since the dataclass is frozen
    _kept: list[npt.NDArray[np.uint8]] = field(default_factory=list, repr=False, compare=False)

    @staticmethod
    def at(path: Path) -> "ExampleFiles":
        """List the files of a path: the file itself, or all files below a folder in order of name.

        Raises UsageError where there are none, and for a file of another format.
        """
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
        """Yield the reason for each row that is not an example; a file that is not a table gives a single reason."""
        for file in self.files:
            try:
                rows = TableFile(file, LABELS).rows_or_refusals()
                yield from (row for _, row in rows if isinstance(row, UsageError))
            except UsageError as refusal:
                yield refusal

    def _latest(self) -> npt.NDArray[np.bool_]:
        """Mark the rows to read, over all files; computed once, then stored as bits to save memory."""
        if not self._kept:
            keep = _latest(self._revisions())
            self._kept.extend([np.packbits(keep), np.array([len(keep) % 8], np.uint8)])
        bits, rest = self._kept  # packing fills the last byte up, so the padding is cut off again
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
        # A .json file in a folder may be anything; it is read only when it is named itself.
        if file.is_file() and suffix_of(file) in _SUFFIXES and suffix_of(file) != ".json"
    ]
    shown = [file for file in files if not any(part.startswith((".", "_")) for part in file.relative_to(folder).parts)]
    # Files that the training buffer has merged stay for a while; reading them too would count their rows twice.
    replaced = {
        folder / old.path for old in superseded(files_of(file.relative_to(folder).as_posix() for file in shown))
    }
    return [file for file in shown if file not in replaced]


def _latest(revisions: Iterator[tuple[Hashes, Ints]]) -> npt.NDArray[np.bool_]:
    """Mark the row of each example with the highest revision, and of several such rows the last in reading order.

    All rows without an id stay.
    """
    hashes, numbers = [], []
    for part, revision in revisions:
        hashes.append(part)
        # The join's revisions are small, and int32 halves their memory; revisions from elsewhere may exceed it.
        numbers.append(revision if revision.max(initial=0) > _INT32_MAX else revision.astype(np.int32))
    examples, revised = _joined(hashes), _joined(numbers)
    # Both sorts are stable, so the last row of a run is the last in reading order. Where all revisions are equal,
    # sorting by example alone gives the same order in less time.
    several = len(revised) and revised.max() > revised.min()
    order = np.lexsort((revised, examples)) if several else np.argsort(examples, kind="stable")
    del revised  # the arrays span all rows of all files, so memory is freed as soon as it can be
    in_order = examples[order]
    last = np.append(in_order[:-1] != in_order[1:], True) | (in_order == 0)  # hash 0 stands for a row without an id
    keep = np.empty(len(examples), np.bool_)
    keep[order] = last[: len(order)]  # without any rows, `last` still has the appended entry
    return keep


def _joined(parts: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Concatenate, and empty the list of parts so that their memory can be freed."""
    joined = np.concatenate(parts) if parts else np.zeros(0, np.int64)
    parts.clear()
    return joined
