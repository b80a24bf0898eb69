"""Reads CSV files strictly, with Python's reader: pyarrow's lets an unclosed quote swallow the rest of a file.

CSV has no types. A message's own columns are read by their kind. The type of a feature's column is inferred from all of
its cells: whole numbers, numbers, bools or JSON lists where every cell that is not null fits, otherwise text. An empty
cell is null; so are NaN, NA and null, except in a column of text, where they are text. Numbers with leading zeros or
with more than 15 digits count as text, since a double would not keep them.
"""

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, NamedTuple

import msgspec

from stream_scorer.adapters.tables.kinds import ANY, FEATURE, Kind
from stream_scorer.adapters.tables.lines import LINE_BYTES_MAX, lines_of
from stream_scorer.core.features.text_numbers import NULL_WORDS, is_integer, is_long_integer, is_number
from stream_scorer.core.messages import RECORD_BYTES_MAX
from stream_scorer.errors import UsageError

Row = tuple[int, list[str]]  # the number of the row's first line, and its cells

_BOOLS = {"true": True, "false": False}
_INFERRED = (FEATURE, ANY)


def read_csv(path: Path, stream: IO[bytes]) -> tuple[list[str], Iterator[Row]]:
    """Return the header, and an iterator of the rows.

    Raises UsageError, with the line, for a missing header; the iterator raises it for a row that is not valid CSV or
    has more or fewer cells than the header.
    """
    csv.field_size_limit(RECORD_BYTES_MAX)
    rows = _rows(path, stream)
    _, header = next(rows, (1, []))
    if not header:
        raise UsageError(f"{path}, line 1: the header is missing, which names the columns")
    return [name.strip() for name in header], _checked(path, rows, len(header))


def _checked(path: Path, rows: Iterator[Row], cells: int) -> Iterator[Row]:
    for line, row in rows:
        if len(row) != cells:
            raise UsageError(f"{path}, line {line}: expected {cells} cells, got {len(row)}")
        yield line, row


def _rows(path: Path, stream: IO[bytes]) -> Iterator[Row]:
    lines = _Text(path, stream)
    reader = csv.reader(lines, strict=True)
    while True:
        lines.start()
        first = lines.number + 1
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise UsageError(f"{path}, line {first}: {_reason(error)}") from None
        if row is None:
            return
        if row:  # a blank line is an empty row, and no record
            yield first, row


def _reason(error: csv.Error) -> str:
    if str(error) == "unexpected end of data":
        return "a quote is opened here and never closed"
    if "field larger" in str(error):
        return f"a cell has more than {RECORD_BYTES_MAX:,} characters: is a quote never closed?"
    return f"this is no CSV: {error} (cells with quotes, commas or line breaks are quoted, quotes in them doubled)"


class _Text:
    """Gives the CSV reader lines of text, and counts the bytes of the row that it is reading.

    A row may span many lines, so a bound on lines would not keep it from filling the memory.
    """

    def __init__(self, path: Path, stream: IO[bytes]) -> None:
        self._path, self._lines = path, lines_of(path, stream)
        self.number = 0
        self._row_bytes = 0

    def start(self) -> None:
        """Begin a row, with no bytes counted."""
        self._row_bytes = 0

    def __iter__(self) -> "_Text":
        return self

    def __next__(self) -> str:
        self.number, line = next(self._lines)
        self._row_bytes += len(line)
        if self._row_bytes > LINE_BYTES_MAX:
            raise UsageError(f"{self._path}, line {self.number}: a row has more than {LINE_BYTES_MAX:,} bytes")
        try:
            return line.decode()
        except UnicodeDecodeError as error:
            raise UsageError(f"{self._path} is not UTF-8 text: line {self.number}, {error}") from error


def _is_bool(cell: str) -> bool:
    return cell.lower() in _BOOLS


def _is_list(cell: str) -> bool:
    if not cell.startswith("["):
        return False
    with suppress(msgspec.DecodeError, RecursionError):
        msgspec.json.decode(cell)
        return True
    return False


class _CellType(NamedTuple):
    fits: Callable[[str], bool]
    parse: Callable[[str], Any]


_INTEGERS, _NUMBERS = _CellType(is_integer, int), _CellType(is_number, float)
_BOOL = _CellType(_is_bool, lambda cell: _BOOLS[cell.lower()])
_TEXT = _CellType(lambda cell: True, str)
# the strictest first: a column gets the first type that fits, and is widened when a later cell does not fit
_TYPES = (_INTEGERS, _NUMBERS, _BOOL, _CellType(_is_list, msgspec.json.decode), _TEXT)


def own_value(kind: Kind, cell: str) -> object:
    """Return a cell of a message's own column: text where its kind takes text, otherwise what the cell looks like."""
    if "text" in kind.takes:
        return cell or None
    if cell.lower() in NULL_WORDS:
        return None
    number = cell.strip()
    # long integers are text among features, but a time or a rank must stay exact: int keeps every digit
    typed = next(each for each in (_CellType(is_long_integer, int), *_TYPES) if each.fits(number))
    return typed.parse(number)


class CellTypes:
    """The types of the features' columns, inferred from every cell."""

    def __init__(self, kinds: Mapping[str, Kind]) -> None:
        """Begin with no column's type known."""
        self._kinds = kinds
        self._types: dict[str, _CellType] = {}

    def look(self, header: Sequence[str], row: Sequence[str]) -> None:
        """Take the cells of a row into account."""
        for name, cell in zip(header, row, strict=True):
            if self._kinds.get(name) in _INFERRED and cell.lower() not in NULL_WORDS:
                self._look(name, cell)

    def _look(self, name: str, cell: str) -> None:
        known = self._types.get(name)
        if known is None:
            # ids are text, also those of digits alone, which would otherwise become numbers
            is_id = self._kinds[name] is ANY and name.endswith("_id")
            self._types[name] = _TEXT if is_id else next(each for each in _TYPES if each.fits(cell))
        elif not known.fits(cell):
            self._types[name] = _NUMBERS if known is _INTEGERS and _NUMBERS.fits(cell) else _TEXT

    def values(self, name: str, cells: Sequence[str]) -> list[object]:
        """Convert cells of a column, by its kind or by the type inferred for it."""
        kind = self._kinds[name]
        if kind not in _INFERRED:
            return [own_value(kind, cell) for cell in cells]
        known = self._types.get(name)
        if known is None:
            return [None] * len(cells)
        nulls = {""} if known is _TEXT else NULL_WORDS
        return [None if cell.lower() in nulls else known.parse(cell) for cell in cells]
