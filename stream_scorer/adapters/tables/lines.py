"""Lines of text files, plain or gzipped, bounded: a line that never ends is refused before it fills the memory."""

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
CHUNK_BYTES_MAX = 2**27  # of rows that are held at once; one more row may come on top
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

Row = TypeVar("Row")


def suffix_of(path: Path) -> str:
    """Return the suffix that names the format, that of the inner file when it is gzipped."""
    return (path.with_suffix("") if path.suffix.lower() == ".gz" else path).suffix.lower()


@contextmanager
def opened(path: Path) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """Open for reading; yield the text's bytes, and the file's own, whose position says how far it is read.

    Raises UsageError for a gzip file that is torn or none, or that unpacks to more than text does.
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
    """Yield numbers and rows in lists of at most `rows_max`, and of about CHUNK_BYTES_MAX bytes by `size` at most."""
    numbers: list[int] = []  # two lists, since the garbage collector would look at a tuple a row again and again
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
    """Yield each line with its number, from 1; a byte order mark at the start is no part of it.

    Raises UsageError for a line of more than LINE_BYTES_MAX bytes.
    """
    for number, line in enumerate(iter(partial(stream.readline, LINE_BYTES_MAX + 1), b""), 1):
        if len(line) > LINE_BYTES_MAX:
            raise UsageError(f"{path}, line {number} is longer than {LINE_BYTES_MAX:,} bytes: is it a file of lines?")
        yield number, line.removeprefix(_BYTE_ORDER_MARK) if number == 1 else line
