"""Reads lines of text files, plain or gzipped. A line that never ends is refused before it fills the memory."""

import gzip
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, TypeVar, cast

from stream_scorer.adapters.tables.unpacked import UnpackedText
from stream_scorer.core.messages import RECORD_BYTES_MAX
from stream_scorer.errors import UsageError

JSON_LINES = (".jsonl", ".ndjson", ".json")
LINE_BYTES_MAX = 4 * RECORD_BYTES_MAX
CHUNK_BYTES_MAX = 2**27  # of the rows in memory at once; the last of them may exceed it
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

Row = TypeVar("Row")


def suffix_of(path: Path) -> str:
    """Return the suffix that names the format, in lower case; of a gzipped file, it is the suffix before .gz."""
    return (path.with_suffix("") if path.suffix.lower() == ".gz" else path).suffix.lower()


@contextmanager
def opened(path: Path) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """Open a file; yield its text, unpacked, and the file as it is, whose position shows how much has been read.

    Raises UsageError for a .gz file that is truncated, is not gzip, or unpacks to more than text does.
    """
    with path.open("rb") as raw:
        if path.suffix.lower() != ".gz":
            yield raw, raw
            return
        try:
            with UnpackedText(path, raw) as text:
                yield cast("IO[bytes]", text), raw
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise UsageError(f"{path} is not a whole gzip file: {error}") from error


def chunked(
    numbered: Iterable[tuple[int, Row]], rows_max: int, size: Callable[[Row], int]
) -> Iterator[tuple[list[int], list[Row]]]:
    """Yield numbers and rows in lists of at most `rows_max`, cut short once `size` adds up to over CHUNK_BYTES_MAX."""
    numbers: list[int] = []  # two lists, since the garbage collector would scan a tuple for every row repeatedly
    rows: list[Row] = []
    chunk_bytes = 0
    for number, row in numbered:
        numbers.append(number)
        rows.append(row)
        chunk_bytes += size(row)
        if len(rows) == rows_max or chunk_bytes > CHUNK_BYTES_MAX:
            yield numbers, rows
            numbers, rows, chunk_bytes = [], [], 0
    if rows:
        yield numbers, rows


def lines_of(path: Path, stream: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield each line with its number, from 1; a byte order mark at the start of the file is left out.

    Raises UsageError for a line of more than LINE_BYTES_MAX bytes.
    """
    # a bounded readline stops a byte after the bound, which is enough to see that the line is too long
    for number, line in enumerate(iter(partial(stream.readline, LINE_BYTES_MAX + 1), b""), 1):
        if len(line) > LINE_BYTES_MAX:
            raise UsageError(f"{path}, line {number} is longer than {LINE_BYTES_MAX:,} bytes: is it a file of lines?")
        yield number, line.removeprefix(_BYTE_ORDER_MARK) if number == 1 else line
