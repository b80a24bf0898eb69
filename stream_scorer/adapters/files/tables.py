"""Offers from the tables that people have: JSON lines, CSV and Parquet.

CSV has no types, so a column's are read off its values, all of them: numbers when every filled cell is a finite number without
leading zeros, bools when every one is true or false, lists when every one is a JSON list, text otherwise; empty is null. Columns
named `offer_id`, `active`, `valid_from_ms` and `valid_until_ms` are the offer's own, all others features. A Parquet column
`features` (JSON text, or a struct) takes the place of columns per feature.
"""

import csv
import gzip
import math
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import msgspec
import numpy as np
from pydantic import TypeAdapter, ValidationError

from stream_scorer.core.messages import Offer
from stream_scorer.core.wire.strict_json import Refusal, loads_strict
from stream_scorer.errors import UsageError

_OFFER = TypeAdapter(Offer)
_OWN = ("offer_id", "active", "valid_from_ms", "valid_until_ms")
_NUMBER = re.compile(r"[+-]?(0|[1-9]\d*)?(\.\d*)?([eE][+-]?\d+)?")
_LISTS = msgspec.json.Decoder(list[str | float])
_BOOLS = {"true": True, "false": False}

JSON_LINES = (".jsonl", ".ndjson", ".json")


def suffix_of(path: Path) -> str:
    """Return the suffix that tells the format, that of the inner file when it is gzipped."""
    return (path.with_suffix("") if path.suffix == ".gz" else path).suffix.lower()


@contextmanager
def open_text(path: Path) -> Iterator[IO[str]]:
    """Open for reading as UTF-8, through gzip where the name ends in .gz. Raises UsageError for what is neither when it is read."""
    try:
        if path.suffix == ".gz":
            with gzip.open(path, "rt", encoding="utf-8", newline="") as text, whole_gzip(path):
                yield text
        else:
            with path.open(encoding="utf-8", newline="") as text:
                yield text
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text: {error}") from error


@contextmanager
def whole_gzip(path: Path) -> Iterator[None]:
    """Raise UsageError where a gzipped file that is read meanwhile is torn."""
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UsageError(f"{path} is not a whole gzip file: {error}") from error


def read_offers(path: Path) -> list[Offer]:
    """Read a catalog. Raises UsageError, with file, line and reason, for the first row that is no offer, and for an id twice."""
    if not path.is_file():
        raise UsageError(f"{path} is not a file of offers")
    suffix = suffix_of(path)
    if suffix in JSON_LINES:
        rows = _json_rows(path)
    elif suffix == ".csv":
        rows = _csv_rows(path)
    elif suffix == ".parquet":
        rows = _parquet_rows(path)
    else:
        raise UsageError(f"offers are read from .jsonl, .csv or .parquet files, got {path}")
    return _unique(path, [_offer(path, line, row) for line, row in rows])


def _offer(path: Path, line: int, row: Mapping[str, Any]) -> Offer:
    try:
        return _OFFER.validate_python(row)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"{path}, line {line}: {place}: {first['msg']}") from error


def _unique(path: Path, offers: list[Offer]) -> list[Offer]:
    if not offers:
        raise UsageError(f"{path} has no offers")
    seen: set[str] = set()
    for line, offer in enumerate(offers, 1):
        if offer.offer_id in seen:
            raise UsageError(f"{path}, row {line}: offer {offer.offer_id!r} is there twice")
        seen.add(offer.offer_id)
    return offers


def _json_rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    with open_text(path) as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            parsed = loads_strict(line.encode())
            if isinstance(parsed, Refusal):
                raise UsageError(f"{path}, line {number}: {parsed.message}")
            yield number, parsed


def _csv_rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    with open_text(path) as lines:
        reader = csv.reader(lines)
        header = [name.strip().removeprefix("\ufeff") for name in next(reader, [])]
        if "offer_id" not in header or len(set(header)) != len(header):
            raise UsageError(
                f"{path}, line 1: the header must name every column once, offer_id among them, got {header}"
            )
        rows = [(reader.line_num, row) for row in reader if row]
    for line, row in rows:
        if len(row) != len(header):
            raise UsageError(f"{path}, line {line}: expected {len(header)} cells, got {len(row)}")
    columns = {name: _typed(name, [row[place] for _, row in rows]) for place, name in enumerate(header)}
    for place, (line, _) in enumerate(rows):
        yield line, _nested({name: column[place] for name, column in columns.items()})


def _typed(name: str, cells: Sequence[str]) -> Sequence[object]:
    """Give a column of cells its type."""
    if name == "offer_id":
        return cells
    filled = [cell for cell in cells if cell]
    if name.endswith("_ms") and name in _OWN and all(cell.isdigit() for cell in filled):
        return [int(cell) if cell else None for cell in cells]
    if all(cell.lower() in _BOOLS for cell in filled):
        return [_BOOLS.get(cell.lower()) for cell in cells]
    if all(_is_number(cell) for cell in filled):
        return [float(cell) if cell else None for cell in cells]
    if all(cell.startswith("[") for cell in filled):
        return [_list(name, cell) if cell else None for cell in cells]
    return [cell or None for cell in cells]


def _is_number(cell: str) -> bool:
    return _NUMBER.fullmatch(cell) is not None and any(map(str.isdigit, cell)) and math.isfinite(float(cell))


def _list(name: str, cell: str) -> list[str | float]:
    try:
        return _LISTS.decode(cell)
    except msgspec.DecodeError as error:
        raise UsageError(f"column {name!r}: not a JSON list of strings or of numbers: {cell[:40]!r}") from error


def _nested(row: Mapping[str, Any]) -> dict[str, Any]:
    """Move features one level down; an empty cell of the offer's own columns is an absent one."""
    own = {name: row[name] for name in _OWN if row.get(name) is not None}
    return {**own, "features": {name: value for name, value in row.items() if name not in _OWN}}


def _parquet_rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
    except pa.ArrowInvalid as error:
        raise UsageError(f"{path} is not a Parquet file: {error}") from error
    if "offer_id" not in file.schema_arrow.names:
        raise UsageError(f"{path} must have a column offer_id, got {file.schema_arrow.names}")
    line = 0
    for batch in file.iter_batches(batch_size=10_000):
        for row in batch.to_pylist():
            line += 1
            yield line, _from_parquet(row)


def _from_parquet(row: Mapping[str, Any]) -> Mapping[str, Any]:
    features = row.get("features")
    if isinstance(features, str):
        return {**_nested({name: row.get(name) for name in _OWN}), "features": msgspec.json.decode(features)}
    if isinstance(features, dict):
        return {**_nested({name: row.get(name) for name in _OWN}), "features": _cleaned(features)}
    return _nested(_cleaned(row))


def _cleaned(row: Mapping[str, Any]) -> dict[str, Any]:
    """NaN is how tables say that a number is missing."""
    return {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in row.items()}


class _Choice(msgspec.Struct):
    """A row of a policy's table."""

    offer_id: str
    rank: int
    probability: float


def read_policy(path: Path, offers: Sequence[Offer]) -> dict[int, "np.ndarray[Any, np.dtype[np.float64]]"]:
    """Read a policy that ignores the customer: JSON lines of offer_id, rank (from 1) and probability; what is left out has none.

    Raises UsageError where a rank's probabilities do not sum to 1.
    """
    places = {offer.offer_id: place for place, offer in enumerate(offers)}
    table: dict[int, np.ndarray[Any, np.dtype[np.float64]]] = {}
    with open_text(path) as lines:
        for number, line in enumerate(lines, 1):
            try:
                row = msgspec.json.decode(line, type=_Choice)
                table.setdefault(row.rank, np.zeros(len(offers)))[places[row.offer_id]] = row.probability
            except (msgspec.DecodeError, KeyError) as error:
                raise UsageError(f"{path}, line {number}: {error!r}") from error
    for rank, chances in table.items():
        if not (chances >= 0).all() or abs(float(chances.sum()) - 1) > 1e-6:
            raise UsageError(f"{path}: the probabilities of rank {rank} must sum to 1, got {chances.sum():.6f}")
    return table
