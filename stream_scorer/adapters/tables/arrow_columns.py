"""Reads columns of Parquet files by the table of types that text has, too: an Arrow type gives a column's category."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from stream_scorer.adapters.tables.kinds import TIME, Kind, Misfit
from stream_scorer.adapters.tables.unpacked import check_columns
from stream_scorer.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

Ints = npt.NDArray[np.int64]

_PER_MS = {"us": 1_000, "ns": 1_000_000}  # how many of a unit make a millisecond
_SECONDS_MAX = 2**63 // 1_000


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Raise UsageError if reading the file inside the block shows that it is not Parquet, or is damaged."""
    import pyarrow as pa

    try:
        yield
    except FileNotFoundError:  # an OSError as well, but a missing file is not a damaged file
        raise
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not a Parquet file, or a damaged one: {error}") from error


def opened_parquet(path: Path) -> "pa.parquet.ParquetFile":
    """Open a file.

    Raises UsageError for a file that is not Parquet, is damaged, or unpacks to more than columns of data do.
    """
    import pyarrow.parquet as pq

    with reading(path):
        file = pq.ParquetFile(path)
    check_columns(path, path.stat().st_size, file.metadata)
    return file


def batches(
    path: Path, file: "pa.parquet.ParquetFile", columns: Sequence[str], rows_max: int
) -> "Iterator[pa.RecordBatch]":
    """Yield the named columns in batches of at most `rows_max` rows. Raises UsageError for a damaged file."""
    with reading(path):
        rest = file.iter_batches(batch_size=rows_max, columns=list(columns))
    while True:
        with reading(path):
            batch = next(rest, None)
        if batch is None:
            return
        yield batch


def category_of(kind: "pa.DataType") -> str:
    """Return the category of a type's values, by the names that `kinds` uses for the categories of single values."""
    from pyarrow import types

    # a dictionary is only a way to store values: their own type decides
    if types.is_dictionary(kind):
        return category_of(kind.value_type)
    # an extension gives its storage a meaning of its own, so the storage's type must not decide
    if name := getattr(kind, "extension_name", None):
        return "uuid" if name == "arrow.uuid" else "other"
    tests = {
        "null": (types.is_null,),
        "bool": (types.is_boolean,),
        "integer": (types.is_integer,),
        "number": (types.is_floating,),
        "decimal": (types.is_decimal,),
        "text": (types.is_string, types.is_large_string, types.is_string_view),
        "bytes": (types.is_binary, types.is_large_binary, types.is_binary_view, types.is_fixed_size_binary),
        TIME: (types.is_timestamp, types.is_date),
        "list": (
            types.is_list, types.is_large_list, types.is_fixed_size_list, types.is_list_view, types.is_large_list_view
        ),
        "object": (types.is_struct, types.is_map),
    }  # fmt: skip
    return next((category for category, own in tests.items() if any(test(kind) for test in own)), "other")


def check_type(path: Path, column: str, kind: Kind, type_: "pa.DataType") -> None:
    """Raise UsageError for a column of a type that its kind does not take."""
    try:
        kind.check(category_of(type_))
    except Misfit as misfit:
        raise UsageError(f"{path}: column {column} of type {type_} {misfit}") from None


def plain_values(path: Path, column: str, array: "pa.Array") -> list[Any]:
    """Return the values as JSON would have them, times as milliseconds; `kinds` converts decimals, UUIDs and NaN later.

    Raises UsageError for values that cannot be read.
    """
    import pyarrow as pa

    try:
        return list(_decoded(array).to_pylist(maps_as_pydicts="strict"))
    except (pa.ArrowException, UnicodeDecodeError, KeyError, ValueError, OverflowError) as error:
        raise UsageError(f"{path}: column {column} of type {array.type} cannot be read: {error}") from error


def _decoded(array: "pa.Array") -> "pa.Array":
    import pyarrow as pa

    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if category_of(array.type) == TIME:
        return pa.array(milliseconds(array), pa.int64(), mask=array.is_null().to_numpy(zero_copy_only=False))
    if pa.types.is_nested(array.type):
        # two casts, since a single cast to integers would leave every time in its own unit
        stamped = _nested(array.type, pa.timestamp("ms"))
        return array.cast(stamped, safe=False).cast(_nested(array.type, pa.int64())) if stamped != array.type else array
    return array.cast(pa.float64()) if pa.types.is_float16(array.type) else array


def _nested(kind: "pa.DataType", time: "pa.DataType") -> "pa.DataType":
    """Return the nested type with plain leaves: `time` for times, values for dictionaries, doubles for half floats."""
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_nested(field.type, time)) for field in kind])
    if pa.types.is_map(kind):
        return pa.map_(kind.key_type, _nested(kind.item_type, time))
    if category_of(kind) == "list":
        return pa.list_(kind.value_field.with_type(_nested(kind.value_type, time)))
    if pa.types.is_dictionary(kind):
        return _nested(kind.value_type, time)
    if pa.types.is_float16(kind):
        return pa.float64()
    return time if category_of(kind) == TIME else kind


def milliseconds(array: "pa.Array") -> Ints:
    """Return timestamps or dates of any unit and zone as milliseconds since 1970, rounded down; null is 0.

    A time without a zone counts as UTC. Raises ValueError for seconds that are too many to count in milliseconds.
    """
    import pyarrow as pa

    if pa.types.is_date(array.type):
        array = array.cast(pa.timestamp("ms"))
    unit = array.type.unit
    counts = np.asarray(array.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False), np.int64)
    if unit != "s":
        return counts // _PER_MS.get(unit, 1)
    # only seconds are multiplied; every other unit is divided, which cannot overflow
    if counts.size and int(np.abs(counts).max()) >= _SECONDS_MAX:
        raise ValueError("a time is beyond what milliseconds can count")
    return counts * 1_000
