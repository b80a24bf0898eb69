"""The reader of tables: it yields rows of CSV, JSON lines and Parquet as messages, by a layout.

All commands read their files here. The exception is labels in Parquet: for speed, `files.example_formats` reads them as
columns, with the same kinds and places.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from stream_scorer.adapters.tables.arrow_columns import batches, check_type, opened_parquet, plain_values
from stream_scorer.adapters.tables.csv_rows import CellTypes, Row, read_csv
from stream_scorer.adapters.tables.kinds import FEATURE, FEATURES, Kind, Misfit
from stream_scorer.adapters.tables.layouts import Layout, ReadingPlan, UnknownFields, plan_of
from stream_scorer.adapters.tables.lines import JSON_LINES, LINE_BYTES_MAX, chunked, lines_of, opened, suffix_of
from stream_scorer.adapters.tables.places import Place
from stream_scorer.core.wire.strict_json import Refusal, loads_strict
from stream_scorer.errors import UsageError

Format = Literal["jsonl", "csv", "parquet"]
Message = dict[str, Any]

CHUNK_ROWS = 10_000


def format_of(path: Path, rows: str) -> Format:
    """Return the format that the file's name states. Raises UsageError for a name that states none."""
    suffix = suffix_of(path)
    if suffix in JSON_LINES:
        return "jsonl"
    if suffix == ".csv":
        return "csv"
    if suffix == ".parquet" and path.suffix.lower() != ".gz":
        return "parquet"
    raise UsageError(
        f"{rows} are read from .jsonl, .csv or .parquet files, the first two also gzipped (.gz), got {path} "
        "(where its name does not say it, replay takes --format)"
    )


class TableFile:
    """A file of rows, which can be read several times, always in order."""

    def __init__(self, path: Path, layout: Layout, *, format: Format | None = None) -> None:
        """Choose the format, without opening the file.

        Raises UsageError for a missing file, and for a name that states no format where `format` is not given.
        """
        if not path.is_file():
            raise UsageError(f"no file at {path}: expected a table of {layout.rows}")
        readers = {"jsonl": self._jsonl, "csv": self._csv, "parquet": self._parquet}
        self.format: Format = format or format_of(path, layout.rows)
        self.unit: Literal["line", "row"] = "row" if self.format == "parquet" else "line"
        self.path, self._layout = path, layout
        self._read: Callable[[bool], Iterator[tuple[int, Message | UsageError]]] = readers[self.format]
        self._share: Callable[[], float] = lambda: 0.0

    def rows(self) -> Iterator[tuple[int, Message]]:
        """Yield each row as a message's fields, with its number.

        Raises UsageError, with file, row, column and value, for the first row that has no conversion.
        """
        return ((number, row) for number, row in self._read(True) if not isinstance(row, UsageError))

    def rows_or_refusals(self) -> Iterator[tuple[int, Message | UsageError]]:
        """Yield each row with its number, or the error that refuses it: all bad rows are known, not only the first.

        Raises UsageError for whatever spoils the whole file: a quote that is never closed, a column that is missing.
        """
        return self._read(False)

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Yield the lines of a text file that are not blank, with their numbers, stripped but not parsed."""
        with opened(self.path) as (text, raw):
            size = max(self.path.stat().st_size, 1)
            # a closed file has no position to ask for
            self._share = lambda: 1.0 if raw.closed else raw.tell() / size
            for number, line in lines_of(self.path, text):
                if stripped := line.strip():
                    yield number, stripped

    def share(self) -> float:
        """Return the share of the file that has been read, 0 to 1."""
        return self._share()

    def _jsonl(self, raises: bool) -> Iterator[tuple[int, Message | UsageError]]:
        sides = tuple(f"{side}." for side in self._layout.sides)
        unknown = UnknownFields(self.path, self._layout)
        for number, line in self.lines():
            try:
                yield number, self._line(number, line, sides, unknown)
            except UsageError as refusal:
                if raises:
                    raise
                yield number, refusal
        unknown.say()

    def _line(self, number: int, line: bytes, sides: tuple[str, ...], unknown: UnknownFields) -> Message:
        row = strict_object(self.path, number, line)
        unknown.look(row)
        if sides and any(name.startswith(sides) for name in row):
            row = plan_of(self.path, list(row), self._layout, where=f"line {number}").message(row)
        return self._fields(number, row)

    def _fields(self, number: int, row: Mapping[str, Any]) -> Message:
        """Convert the fields of a JSON object that the layout has; others pass unchanged, as they would on a topic."""
        kinds: dict[str, Kind] = {**self._layout.own, **dict.fromkeys(self._layout.sides, FEATURES)}
        fields = dict(row)
        for name, value in row.items():
            if name in kinds:
                fields[name] = self._converted(name, kinds[name], value, number)
        empty: Message = {side: {} for side in self._layout.sides if side in fields and fields[side] is None}
        return {name: value for name, value in fields.items() if value is not None or name not in kinds} | empty

    def _converted(self, name: str, kind: Kind, value: object, number: int) -> Any:
        try:
            return kind.convert(value)
        except Misfit as misfit:
            raise Place(self.path, name, [number], self.unit).refusal(0, value, str(misfit)) from None

    def _csv(self, raises: bool) -> Iterator[tuple[int, Message | UsageError]]:
        plan, types = self._looked_over(raises)
        with opened(self.path) as (text, raw):
            size = max(self.path.stat().st_size, 1)
            self._share = lambda: 1.0 if raw.closed else raw.tell() / size
            header, rows = read_csv(self.path, text)
            for lines, chunk in _chunks(rows):
                yield from self._messages(plan, lines, _cells(header, chunk, types, plan), raises)

    def _looked_over(self, raises: bool) -> tuple[ReadingPlan, CellTypes]:
        """Read the whole file before any row is used: to infer its types, and to use no part of a broken file."""
        with opened(self.path) as (text, _):
            header, rows = read_csv(self.path, text)
            plan = plan_of(self.path, header, self._layout, where="line 1: the header")
            types = CellTypes(plan.kinds())
            own = {name: kind for name, kind in plan.own.items() if kind is not FEATURE}
            for lines, chunk in _chunks(rows):
                for row in chunk:
                    types.look(header, row)
                if raises:
                    self._check(own, lines, _cells(header, chunk, types, plan))
        return plan, types

    def _parquet(self, raises: bool) -> Iterator[tuple[int, Message | UsageError]]:
        file = opened_parquet(self.path)
        plan = plan_of(self.path, file.schema_arrow.names, self._layout)
        kinds = plan.kinds()
        for name, kind in kinds.items():
            check_type(self.path, name, kind, file.schema_arrow.field(name).type)
        done, total = 0, max(file.metadata.num_rows, 1)
        self._share = lambda: done / total
        for batch in batches(self.path, file, list(kinds), CHUNK_ROWS):
            numbers = range(done + 1, done + batch.num_rows + 1)
            values = {name: plain_values(self.path, name, batch.column(name)) for name in kinds}
            for number, message in self._messages(plan, numbers, values, raises):
                done = number  # before the yield: `share` is asked while the caller works on this row
                yield number, message

    def _messages(
        self, plan: ReadingPlan, numbers: Sequence[int], values: Mapping[str, Sequence[object]], raises: bool
    ) -> Iterator[tuple[int, Message | UsageError]]:
        try:
            columns = self._check(plan.kinds(), numbers, values)
        except UsageError as refusal:
            if raises:
                raise
            if len(numbers) == 1:
                yield numbers[0], refusal
                return
            for index, number in enumerate(numbers):  # a row of the chunk is bad: try each by itself
                yield from self._messages(
                    plan, [number], {name: [column[index]] for name, column in values.items()}, raises
                )
            return
        for index, number in enumerate(numbers):
            yield number, plan.message({name: column[index] for name, column in columns.items()})

    def _check(
        self, kinds: Mapping[str, Kind], numbers: Sequence[int], values: Mapping[str, Sequence[object]]
    ) -> dict[str, list[Any]]:
        return {
            name: Place(self.path, name, numbers, self.unit).converted(kind, values[name])
            for name, kind in kinds.items()
        }


def strict_object(path: Path, number: int, line: bytes) -> Message:
    """Parse a line as strictly as a record of a topic, though it may be longer.

    Raises UsageError, with the line's number, for a line that is refused.
    """
    row = loads_strict(line, bytes_max=LINE_BYTES_MAX)
    if isinstance(row, Refusal):
        raise _refused(path, number, row)
    return row


def _refused(path: Path, number: int, refusal: Refusal) -> UsageError:
    if refusal.code == "not_utf8":
        return UsageError(f"{path} is not UTF-8 text: line {number}")
    return UsageError(f"{path}, line {number}: {refusal.message}")


def _cells(
    header: Sequence[str], chunk: Sequence[list[str]], types: CellTypes, plan: ReadingPlan
) -> dict[str, list[object]]:
    kinds = plan.kinds()
    return {
        name: types.values(name, [row[place] for row in chunk]) for place, name in enumerate(header) if name in kinds
    }


def _chunks(rows: Iterator[Row]) -> Iterator[tuple[list[int], list[list[str]]]]:
    return chunked(rows, CHUNK_ROWS, lambda cells: sum(map(len, cells)))
