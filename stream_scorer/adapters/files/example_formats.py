"""Reads labelled rows of JSON lines and Parquet into columns, features still as text; absent columns take defaults."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt
import xxhash

from stream_scorer.adapters.files.tables import open_text
from stream_scorer.core.datasets.chunks import ExampleChunk, Ints, Views
from stream_scorer.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

CHUNK_ROWS = 65_536

Hashes = npt.NDArray[np.uint64]
Pair = tuple[str, bytes]  # an id and the text of its features

_FEATURES = msgspec.json.Decoder(dict[str, str | float | bool | None | list[str | float]])
_HEX = re.compile("[0-9a-f]{32}")
_NO_FEATURES = msgspec.Raw(b"{}")


class _Row(msgspec.Struct):
    """A row of JSON lines, and the defaults of columns that a Parquet file lacks."""

    customer_id: str
    offer_id: str
    accepted: Literal[0, 1]
    example_id: str | None = None
    revision: int = 1
    request_id: str | None = None
    customer_features: msgspec.Raw = _NO_FEATURES
    offer_features: msgspec.Raw = _NO_FEATURES
    rank: int | None = None
    score: float | None = None
    propensity: float | None = None
    keep_prob: float | None = None
    request_time_ms: int | None = None
    exposure: Literal["shown", "assumed"] | None = None


@dataclass(frozen=True, slots=True)
class RawChunk:
    """Rows of one file as columns; `customer` and `offer` index the distinct pairs of id and features."""

    file: Path
    line: Ints  # from 1
    example: Hashes  # 0: has no id
    revision: Ints
    request: Hashes
    customer_pairs: Sequence[Pair]
    customer: Ints
    offer_pairs: Sequence[Pair]
    offer: Ints
    accepted: npt.NDArray[np.int8]
    rank: Ints
    score: npt.NDArray[np.float64]
    propensity: npt.NDArray[np.float64]
    weight: npt.NDArray[np.float64]
    request_time_ms: Ints
    shown: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        """Rows."""
        return len(self.line)

    def kept(self, keep: npt.NDArray[np.bool_]) -> "RawChunk":
        """Leave rows out."""
        if keep.all():
            return self
        columns: dict[str, Any] = {one.name: getattr(self, one.name) for one in fields(self)}
        cut: dict[str, Any] = {name: column[keep] for name, column in columns.items() if isinstance(column, np.ndarray)}
        return replace(self, **cut)

    def parsed(self) -> ExampleChunk:
        """Parse each distinct pair's features. Raises UsageError with file, line and reason."""
        return ExampleChunk(
            customers=self._views(self.customer_pairs, self.customer, "customer_features"),
            offers=self._views(self.offer_pairs, self.offer, "offer_features"),
            customer=self.customer,
            offer=self.offer,
            request=self.request,
            accepted=self.accepted,
            rank=self.rank,
            score=self.score,
            propensity=self.propensity,
            weight=self.weight,
            request_time_ms=self.request_time_ms,
            shown=self.shown,
        )

    def _views(self, pairs: Sequence[Pair], pair_of: Ints, name: str) -> Views:
        features: list[dict[str, Any]] = []
        for pair, (_, text) in enumerate(pairs):
            try:
                features.append(_FEATURES.decode(text))
            except msgspec.DecodeError as error:
                line = self.line[pair_of == pair]
                raise UsageError(f"{self.file}, row {line[0] if len(line) else '?'}: {name}: {error}") from error
        return Views([one for one, _ in pairs], features)


def json_lines(file: Path) -> Iterator[RawChunk]:
    """Read a file of JSON lines."""
    decoder = msgspec.json.Decoder(_Row)
    rows: list[_Row] = []
    lines: list[int] = []
    with open_text(file) as text:
        for number, line in enumerate(text, 1):
            if not line.strip():
                continue
            try:
                rows.append(decoder.decode(line))
            except msgspec.DecodeError as error:
                raise UsageError(f"{file}, line {number}: {error}") from error
            lines.append(number)
            if len(rows) == CHUNK_ROWS:
                yield _of_rows(file, rows, lines)
                rows, lines = [], []
    if rows:
        yield _of_rows(file, rows, lines)


def _of_rows(file: Path, rows: Sequence[_Row], lines: Sequence[int]) -> RawChunk:
    customer_pairs, customer = _coded([(row.customer_id, bytes(row.customer_features)) for row in rows])
    offer_pairs, offer = _coded([(row.offer_id, bytes(row.offer_features)) for row in rows])
    return RawChunk(
        file=file,
        line=np.array(lines, np.int64),
        example=_example_hashes([row.example_id for row in rows]),
        revision=np.array([row.revision for row in rows], np.int64),
        request=_hashes([row.request_id or f"{row.customer_id}\0{row.request_time_ms}" for row in rows]),
        customer_pairs=customer_pairs,
        customer=customer,
        offer_pairs=offer_pairs,
        offer=offer,
        accepted=np.array([row.accepted for row in rows], np.int8),
        rank=np.array([row.rank or 0 for row in rows], np.int64),
        score=np.array([row.score for row in rows], np.float64),
        propensity=np.array([row.propensity for row in rows], np.float64),
        weight=_weights(np.array([row.keep_prob for row in rows], np.float64)),
        request_time_ms=np.array([row.request_time_ms or 0 for row in rows], np.int64),
        shown=np.array([row.exposure != "assumed" for row in rows], np.bool_),
    )


def parquet(file: Path) -> Iterator[RawChunk]:
    """Read a Parquet file."""
    reader = _open(file)
    columns = [name for name in _Row.__struct_fields__ if name in reader.schema_arrow.names]
    line = 1
    for batch in reader.iter_batches(batch_size=CHUNK_ROWS, columns=columns):
        yield _of_batch(file, batch, line)
        line += batch.num_rows


def parquet_revisions(file: Path) -> Iterator[tuple[Hashes, Ints]]:
    """Read only the ids and revisions of a Parquet file."""
    reader = _open(file)
    columns = [name for name in ("example_id", "revision") if name in reader.schema_arrow.names]
    for batch in reader.iter_batches(batch_size=CHUNK_ROWS, columns=columns or ["customer_id"]):
        yield _example_of(batch), _ints(batch, "revision", 1)


def _open(file: Path) -> "pa.parquet.ParquetFile":
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        reader = pq.ParquetFile(file)
    except pa.ArrowInvalid as error:
        raise UsageError(f"{file} is not a Parquet file: {error}") from error
    if missing := {"customer_id", "offer_id", "accepted"} - set(reader.schema_arrow.names):
        raise UsageError(f"{file} must have the columns {', '.join(sorted(missing))}")
    return reader


def _of_batch(file: Path, batch: "pa.RecordBatch", line: int) -> RawChunk:
    for name in ("customer_id", "offer_id", "accepted"):
        if batch.column(name).null_count:
            row = batch.column(name).is_null().to_numpy(zero_copy_only=False).argmax()
            raise UsageError(f"{file}, row {line + int(row)}: {name} must not be null")
    accepted = _ints(batch, "accepted", 0)
    if (wrong := (accepted != 0) & (accepted != 1)).any():
        raise UsageError(f"{file}, row {line + int(wrong.argmax())}: accepted must be 0 or 1, got {accepted[wrong][0]}")
    customer_pairs, customer = _pairs(batch, "customer")
    offer_pairs, offer = _pairs(batch, "offer")
    times = _ints(batch, "request_time_ms", 0)
    return RawChunk(
        file=file,
        line=np.arange(line, line + batch.num_rows),
        example=_example_of(batch),
        revision=_ints(batch, "revision", 1),
        request=_request_of(batch, times),
        customer_pairs=customer_pairs,
        customer=customer,
        offer_pairs=offer_pairs,
        offer=offer,
        accepted=accepted.astype(np.int8),
        rank=_ints(batch, "rank", 0),
        score=_floats(batch, "score"),
        propensity=_floats(batch, "propensity"),
        weight=_weights(_floats(batch, "keep_prob")),
        request_time_ms=times,
        shown=_shown(batch),
    )


def _pairs(batch: "pa.RecordBatch", side: str) -> tuple[list[Pair], Ints]:
    """Find the distinct pairs of id and features in columns, without an object per row."""
    ids, id_of = _distinct(batch, f"{side}_id")
    texts, text_of = _distinct(batch, f"{side}_features")
    pairs, pair_of = np.unique(id_of * len(texts) + text_of, return_inverse=True)
    made = [(str(ids[pair // len(texts)]), _text(texts[pair % len(texts)])) for pair in pairs.tolist()]
    return made, pair_of.reshape(-1).astype(np.int64)


def _distinct(batch: "pa.RecordBatch", name: str) -> tuple[list[Any], Ints]:
    import pyarrow as pa

    if name not in batch.schema.names:
        return [None], np.zeros(batch.num_rows, np.int64)
    column = batch.column(name)
    if not (
        pa.types.is_string(column.type) or pa.types.is_large_string(column.type) or pa.types.is_dictionary(column.type)
    ):
        column = pa.array(
            [None if value is None else msgspec.json.encode(value).decode() for value in column.to_pylist()],
            pa.string(),
        )
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode(null_encoding="encode")
    return column.dictionary.to_pylist(), column.indices.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)


def _text(value: object) -> bytes:
    return b"{}" if value is None else str(value).encode()


def _example_of(batch: "pa.RecordBatch") -> Hashes:
    if "example_id" not in batch.schema.names:
        return np.zeros(batch.num_rows, np.uint64)
    column = batch.column("example_id")
    return _hex_hashes(column) if _all_hex(column) else _example_hashes(column.to_pylist())


def _all_hex(column: "pa.Array") -> bool:
    """Tell whether all ids are as long as those that the join makes: 32 hexadecimal digits, hashes already."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_string(column.type) or column.null_count or not len(column):
        return False
    return bool(pc.all(pc.match_substring_regex(column, rf"\A{_HEX.pattern}\z")).as_py())


def _hex_hashes(column: "pa.Array") -> Hashes:
    """Read the first 16 digits of each as a number, all at once."""
    start = 32 * column.offset
    digits = np.frombuffer(column.buffers()[2], np.uint8, 32 * len(column), start).reshape(-1, 32)[:, :16]
    nibbles = (digits & 0xF) + 9 * (digits >> 6)  # '0' is 0x30, 'a' is 0x61
    packed = (nibbles[:, ::2] << 4 | nibbles[:, 1::2]).astype(np.uint8)
    return np.maximum(np.ascontiguousarray(packed).view(">u8").reshape(-1).astype(np.uint64), np.uint64(1))


def _example_hashes(values: Sequence[str | None]) -> Hashes:
    """Hash ids; one that is a hash already is itself, so that it is the same wherever it stands."""
    return np.array(
        [max(1, int(value[:16], 16)) if value and _HEX.fullmatch(value) else _hash(value) for value in values],
        np.uint64,
    )


def _request_of(batch: "pa.RecordBatch", times: Ints) -> Hashes:
    name = "request_id" if "request_id" in batch.schema.names else "customer_id"
    values, value_of = _distinct(batch, name)
    hashed = _hashes(values)[value_of]
    # a customer's rows of one moment are one request
    return hashed if name == "request_id" else hashed ^ (times.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15))


def _ints(batch: "pa.RecordBatch", name: str, default: int) -> Ints:
    if name not in batch.schema.names:
        return np.full(batch.num_rows, default, np.int64)
    return np.asarray(batch.column(name).fill_null(default).to_numpy(zero_copy_only=False), np.int64)


def _floats(batch: "pa.RecordBatch", name: str) -> npt.NDArray[np.float64]:
    if name not in batch.schema.names:
        return np.full(batch.num_rows, np.nan)
    return np.asarray(batch.column(name).to_numpy(zero_copy_only=False), np.float64)


def _shown(batch: "pa.RecordBatch") -> npt.NDArray[np.bool_]:
    values, value_of = _distinct(batch, "exposure")
    return np.array([value != "assumed" for value in values], np.bool_)[value_of]


def _weights(keep_prob: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return 1.0 / np.where(np.isnan(keep_prob), 1.0, keep_prob)


def _coded(pairs: Sequence[Pair]) -> tuple[list[Pair], Ints]:
    codes: dict[Pair, int] = {}
    coded = np.array([codes.setdefault(pair, len(codes)) for pair in pairs], np.int64)
    return list(codes), coded


def _hashes(values: Sequence[str | None]) -> Hashes:
    return np.array([_hash(value) for value in values], np.uint64)


def _hash(value: str | None) -> int:
    return xxhash.xxh3_64_intdigest(value.encode()) if value else 0
