"""Labelled rows of JSON lines as columns; features stay the bytes that the line has for them, not parsed yet."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import takewhile
from pathlib import Path
from typing import Any

import msgspec

from stream_scorer.adapters.tables.layouts import LABELS, UnknownFields, plan_of
from stream_scorer.adapters.tables.lines import chunked
from stream_scorer.adapters.tables.reader import TableFile, strict_object
from stream_scorer.errors import UsageError

Columns = Mapping[str, tuple[Any, ...]]  # by column, the values of all rows; features as msgspec.Raw
Listed = Mapping[str, list[Any]]  # the same, with features as the bytes of their text

_ABSENT = msgspec.Raw(b"null")
_OBJECT = ord("{")
UNREAD = {"cause", "release_id", "reranker_score"}  # columns that labels may have, but nothing reads

_Row = msgspec.defstruct(
    "_Row",
    [*((name, Any, None) for name in LABELS.own), *((side, msgspec.Raw, _ABSENT) for side in LABELS.sides)],
    gc=False,  # rows hold no cycles, so the garbage collector need not visit millions of them
)
_decode_row = msgspec.json.Decoder(_Row).decode
_decode_names = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
COLUMNS = _Row.__struct_fields__


def json_lines(file: Path, rows_max: int) -> Iterator[tuple[list[int], Listed]]:
    """Yield the numbers of the lines and their columns, a bounded number of rows at a time.

    Raises UsageError, with file, line and reason, for a line that is not strict JSON.
    """
    unknown = UnknownFields(file, LABELS)
    for numbers, lines in chunked(TableFile(file, LABELS, format="jsonl").lines(), rows_max, len):
        columns = _columns([_row(file, number, line) for number, line in zip(numbers, lines, strict=True)])
        # Parsing every line strictly would be slow, so counting colons settles most chunks first.
        if not _name_each_key_once(lines, columns):
            _check_each(file, numbers, lines)
        for line in takewhile(lambda _: not unknown.is_over, lines):  # the first lines alone are decoded twice
            unknown.look(_decode_names(line))
        yield numbers, _listed(columns)
    unknown.say()


def _columns(rows: Sequence[msgspec.Struct]) -> Columns:
    return dict(zip(COLUMNS, zip(*map(msgspec.structs.astuple, rows), strict=True), strict=True))


def _check_each(file: Path, numbers: Sequence[int], lines: Sequence[bytes]) -> None:
    """Raise UsageError for the first line that repeats a key; the fast decoder has silently kept the last value."""
    for number, line in zip(numbers, lines, strict=True):
        if not _name_each_key_once([line], _columns([_row(file, number, line)])):
            strict_object(file, number, line)


def _row(file: Path, number: int, line: bytes) -> msgspec.Struct:
    if b"_features." in line:  # the struct knows no columns of single features, such as offer_features.price
        return _nested(file, number, line)
    try:
        return _decode_row(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{file}, line {number}: {error}") from error


def _name_each_key_once(lines: Sequence[bytes], columns: Columns) -> bool:
    """Return True where colons prove that no key comes twice, outside the features.

    Outside its features a line has a colon for each key, and so at least as many colons as fields that were read. If
    the sums over all lines agree, they agree for each line, and no colon is left for a second key. False proves
    nothing: null values, unknown keys and colons in text also add colons.
    """
    # Comparing by identity tells an absent field, which has the default object, from a null in the line.
    sides = [[side for side in columns[name] if side is not _ABSENT] for name in LABELS.sides]
    own = sum(len(lines) - columns[name].count(None) for name in columns if name not in LABELS.sides)
    in_features = sum(b"".join(side).count(b":") for side in sides)
    return b"".join(lines).count(b":") == own + sum(map(len, sides)) + in_features


def _nested(file: Path, number: int, line: bytes) -> msgspec.Struct:
    """Read a row that may have single features as columns, such as customer_features.age."""
    row = strict_object(file, number, line)
    own = {name: row[name] for name in COLUMNS if name in row}
    for side, columns in plan_of(file, list(row), LABELS, where=f"line {number}").single.items():
        own[side] = {feature: row[column] for column, feature in columns.items()}
    return _Row(**{name: _raw(value) if name in LABELS.sides else value for name, value in own.items()})


def _raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def _listed(columns: Columns) -> dict[str, list[Any]]:
    return {
        name: list(map(_text_of, map(bytes, column))) if name in LABELS.sides else list(column)
        for name, column in columns.items()
        if name not in UNREAD
    }


def _text_of(text: bytes) -> bytes | None:
    """Return features as the bytes of a JSON object, None for null; the object may come inside a JSON string."""
    if text[0] == _OBJECT:
        return text
    if text.startswith(b'"'):
        with suppress(msgspec.DecodeError, UnicodeDecodeError):  # the features' parser reports it, with its line
            return msgspec.json.decode(text, type=str).encode()
    return None if text == b"null" else text
