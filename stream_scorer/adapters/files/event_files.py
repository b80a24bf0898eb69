"""Events from files: JSON lines as they are, CSV and Parquet row by row as JSON objects.

Columns that are a message's own (request_id, event_time_ms, …) become its fields, all others its features; a message without
features keeps every column. An empty cell is an absent field, or a null feature.
"""

import csv
import gzip
import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Literal, get_args

import msgspec

from stream_scorer.adapters.files.cell_types import ColumnTypes
from stream_scorer.adapters.files.tables import JSON_LINES, suffix_of, whole_gzip
from stream_scorer.errors import UsageError
from stream_scorer.ports import Event

Format = Literal["jsonl", "csv", "parquet"]

_CHUNK_ROWS = 10_000
_encode = msgspec.json.Encoder().encode


def format_of(path: Path) -> Format:
    """Tell the format by the name. Raises UsageError."""
    suffix = suffix_of(path)
    if suffix in JSON_LINES:
        return "jsonl"
    if suffix == ".csv":
        return "csv"
    if suffix == ".parquet":
        return "parquet"
    raise UsageError(f"the format of {path} is not told by its name; give --format {'|'.join(get_args(Format))}")


class EventFile:
    """The events of one file, in order. `own` are the message's fields, `key` the field that becomes the record's key.

    Iterating raises UsageError, with the line, for a row that cannot be read as its format.
    """

    def __init__(
        self, path: Path, *, format: Format | None = None, key: str | None = None, own: frozenset[str] = frozenset()
    ) -> None:
        """Look at the name only. Raises UsageError."""
        if not path.is_file():
            raise UsageError(f"no file at {path}")
        readers = {"jsonl": self._jsonl, "csv": self._csv, "parquet": self._parquet}
        self._path, self._key, self._own = path, key, own
        self._read = readers[format or format_of(path)]
        self._share: Callable[[], float] = lambda: 0.0

    def __iter__(self) -> Iterator[Event]:
        """Yield the events."""
        return self._read()

    def share(self) -> float:
        """Return how much of the file is read, 0 to 1."""
        return self._share()

    def _jsonl(self) -> Iterator[Event]:
        look = _Look(self._key)
        with self._open() as lines:
            for line in lines:
                if value := line.strip():
                    yield look(value)

    def _csv(self) -> Iterator[Event]:
        with self._open() as lines:
            types = ColumnTypes(_rows(self._path, lines))
        with self._open() as lines:
            for number, row in _rows(self._path, lines):
                yield self._event(types.typed(row), number)

    def _parquet(self) -> Iterator[Event]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            file = pq.ParquetFile(self._path)
        except pa.ArrowInvalid as error:
            raise UsageError(f"{self._path} is not a Parquet file: {error}") from None
        done, total = 0, max(file.metadata.num_rows, 1)
        self._share = lambda: done / total
        for batch in file.iter_batches(_CHUNK_ROWS):
            for row in batch.to_pylist():
                done += 1
                yield self._event({name: _plain(value) for name, value in row.items()}, done)

    @contextmanager
    def _open(self) -> Iterator[IO[bytes]]:
        size = max(self._path.stat().st_size, 1)
        with self._path.open("rb") as raw:
            self._share = lambda: 1.0 if raw.closed else raw.tell() / size
            if self._path.suffix == ".gz":
                with gzip.open(raw) as lines, whole_gzip(self._path):
                    yield lines  # type: ignore[misc]
            else:
                yield raw

    def _event(self, row: Mapping[str, Any], number: int) -> Event:
        message = self._nested(row)
        key, time_ms = message.get(self._key or ""), message.get("event_time_ms")
        try:
            value = _encode(message)
        except (TypeError, UnicodeEncodeError, msgspec.MsgspecError) as error:
            raise UsageError(f"{self._path}, row {number}: {error}") from None
        return Event(None if key is None else str(key).encode(), value, time_ms if isinstance(time_ms, int) else None)

    def _nested(self, row: Mapping[str, Any]) -> dict[str, Any]:
        if "features" not in self._own or "features" in row:
            return {name: value for name, value in row.items() if value is not None}
        own = {name: value for name, value in row.items() if name in self._own and value is not None}
        return {**own, "features": {name: value for name, value in row.items() if name not in self._own}}


class _Look:
    """Reads the key and the time of a JSON line, and nothing else; a line that is no JSON has neither."""

    def __init__(self, key: str | None) -> None:
        names = {"time_ms": "event_time_ms", "key": key or "customer_id"}
        fields = [("time_ms", int | float | str | None, None), ("key", str | int | None, None)]
        try:
            look = msgspec.defstruct("Look", fields if key else fields[:1], rename=names)
        except ValueError as error:
            raise UsageError(f"--key {key}: {error}") from None
        self._decode: Callable[[bytes], Any] = msgspec.json.Decoder(look).decode
        self._keyed = key is not None

    def __call__(self, line: bytes) -> Event:
        try:
            seen = self._decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return Event(None, line)
        key = str(seen.key).encode() if self._keyed and seen.key is not None else None
        return Event(key, line, seen.time_ms if isinstance(seen.time_ms, int) else None)


def _rows(path: Path, lines: IO[bytes]) -> Iterator[tuple[int, dict[str, str]]]:
    with io.TextIOWrapper(lines, encoding="utf-8-sig", newline="") as text:
        reader = csv.reader(text)
        try:
            header = next(reader, [])
            for row in filter(None, reader):
                if len(row) != len(header):
                    raise UsageError(f"{path}, line {reader.line_num}: expected {len(header)} cells, got {len(row)}")
                yield reader.line_num, dict(zip(header, row, strict=True))
        except (csv.Error, UnicodeDecodeError) as error:
            raise UsageError(f"{path}, line {reader.line_num}: {error}") from None


def _plain(value: object) -> object:
    """Return a time as milliseconds; NaN, the tables' word for a missing number, becomes null when it is encoded."""
    if isinstance(value, datetime):
        return int((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp() * 1000)
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return value
