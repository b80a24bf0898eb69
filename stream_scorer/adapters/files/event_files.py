"""Events from files: JSON lines stay as they are; rows of CSV and Parquet become JSON objects by their layout."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from stream_scorer.adapters.tables.layouts import RECORDS, Layout, UnknownFields
from stream_scorer.adapters.tables.reader import Format, Message, TableFile
from stream_scorer.adapters.tables.times import SecondsCheck
from stream_scorer.errors import UsageError
from stream_scorer.ports import Event

_TIME = "event_time_ms"
_encode = msgspec.json.Encoder().encode


class EventFile:
    """The events of one file, in order.

    `layout` is the layout of the events' message; `key` names the field that becomes the record's key.

    Iterating raises UsageError, with file, row, column and value, for a row that does not fit the file's format or the
    kinds of its columns.
    """

    def __init__(
        self, path: Path, *, format: Format | None = None, key: str | None = None, layout: Layout = RECORDS
    ) -> None:
        """Look at the name only. Raises UsageError where there is no such file, or its name states no known format."""
        self._table, self._key, self._layout = TableFile(path, layout, format=format), key, layout
        self._times = SecondsCheck(path, _TIME)

    def __iter__(self) -> Iterator[Event]:
        """Yield the events, and caution once where their times look like seconds."""
        events = self._jsonl() if self._table.format == "jsonl" else map(self._event, self._table.rows())
        for event in events:
            self._times.look(event.event_time_ms)
            yield event

    def values_or_refusals(self) -> Iterator[tuple[int, bytes] | UsageError]:
        """Yield for each row its number and its bytes as a record, or the reason why it cannot become a record.

        Raises UsageError for a file that is not a table.
        """
        if self._table.format == "jsonl":
            yield from self._looked_at()
            return
        for number, row in self._table.rows_or_refusals():
            yield row if isinstance(row, UsageError) else (number, _encode(row))

    def _looked_at(self) -> Iterator[tuple[int, bytes]]:
        """Yield lines as they are, for their decoder names their faults; caution about fields that nothing reads."""
        names = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
        unknown = UnknownFields(self._table.path, self._layout)
        for number, line in self._table.lines():
            with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                unknown.look(names(line))
            yield number, line
        unknown.say()

    def share(self) -> float:
        """Return the share of the file that has been read, 0 to 1."""
        return self._table.share()

    def _jsonl(self) -> Iterator[Event]:
        look = _Look(self._key)
        for _, line in self._table.lines():
            yield look(line)

    def _event(self, numbered: tuple[int, Message]) -> Event:
        _, message = numbered
        key, time_ms = message.get(self._key or ""), message.get(_TIME)
        value = _encode(message)
        return Event(None if key is None else str(key).encode(), value, time_ms if isinstance(time_ms, int) else None)


class _Look:
    """Reads the key and the time of a JSON line, and nothing else.

    A line has neither where it is not JSON, or where its key or time is of another type.
    """

    def __init__(self, key: str | None) -> None:
        # A struct of these two fields lets the decoder skip every other value without building it.
        names = {"time_ms": _TIME, "key": key or "customer_id"}
        fields = [("time_ms", int | float | str | None, None), ("key", str | int | None, None)]
        try:
            look = msgspec.defstruct("Look", fields if key else fields[:1], rename=names)
        except ValueError as error:  # the key is the field of the time, or no name that msgspec accepts
            raise UsageError(f"--key {key}: {error}") from None
        self._decode: Callable[[bytes], Any] = msgspec.json.Decoder(look).decode
        self._keyed = key is not None

    def __call__(self, line: bytes) -> Event:
        try:
            seen = self._decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return Event(None, line)  # replayed as it is, so that the reader of the topic makes it a dead letter
        key = str(seen.key).encode() if self._keyed and seen.key is not None else None
        return Event(key, line, seen.time_ms if isinstance(seen.time_ms, int) else None)
