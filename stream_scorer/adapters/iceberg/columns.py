"""The columns of the table: those of the Parquet files, and the day that the table is partitioned by.

`adapters.parquet.rows` is the one place that says what they are. Features are the exact JSON texts alone: a typed
column for each feature would make the table's schema depend on what customers send.
"""

from collections.abc import Sequence

import pyarrow as pa
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import DateType, DoubleType, IntegerType, LongType, NestedField, PrimitiveType, StringType

from stream_scorer.adapters.parquet.rows import COLUMNS, to_table
from stream_scorer.core.buffer.buffer_files import DAY_MS
from stream_scorer.core.buffer.examples import ExampleRow

DAY = "day"
_MAY_BE_NULL = {"rank", "score", "propensity", "release_id", "tower_rank", "reranker_score"}


def _kind(ours: pa.DataType) -> tuple[pa.DataType, PrimitiveType]:
    """Return the Arrow type and the Iceberg type of a column: Iceberg has no dictionaries, and no int8."""
    if pa.types.is_integer(ours):
        return (pa.int64(), LongType()) if ours.bit_width > 32 else (pa.int32(), IntegerType())
    return (pa.float64(), DoubleType()) if pa.types.is_floating(ours) else (pa.string(), StringType())


_KINDS = {name: _kind(ours) for name, ours in COLUMNS.items()} | {DAY: (pa.date32(), DateType())}
_ARROW = pa.schema([pa.field(name, arrow, nullable=name in _MAY_BE_NULL) for name, (arrow, _) in _KINDS.items()])
SCHEMA = Schema(
    *(
        NestedField(place, name, kind, required=name not in _MAY_BE_NULL)
        for place, (name, (_, kind)) in enumerate(_KINDS.items(), 1)
    )
)
BY_DAY = PartitionSpec(PartitionField(SCHEMA.find_field(DAY).field_id, 1_000, IdentityTransform(), DAY))


def to_arrow(rows: Sequence[ExampleRow]) -> pa.Table:
    """Return the rows as the table takes them."""
    table, _ = to_table(rows)
    days = pa.array([row.label_time_ms // DAY_MS for row in rows], pa.int32()).cast(pa.date32())
    columns = {name: table[name] for name in COLUMNS if name in table.schema.names} | {DAY: days}
    # a column that files lack where all its values are null is in the table all the same
    return pa.table(
        [columns.get(field.name, pa.nulls(len(rows), field.type)).cast(field.type) for field in _ARROW], _ARROW
    )
