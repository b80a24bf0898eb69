"""The Confluent frame: the id of a record's schema before its value, or in a header.

Before the value stand a zero and the id in four bytes, big-endian; or a one and a GUID in sixteen. The header holds the
same bytes. Behind a Protobuf schema's id follows, in the same place, which message of its file it is: the index.
Source: Confluent, wire format of Schema Registry 8; `SchemaId` of confluent-kafka.
"""

from typing import NamedTuple

from stream_scorer.core.records import Record
from stream_scorer.core.wire.strict_json import Refusal

SCHEMA_HEADER = "__value_schema_id"
_ID_BYTES = {0: 5, 1: 17}  # by the first byte, which counts itself


class Frame(NamedTuple):
    """`schema` is the schema's id with the byte that says of which kind it is; `rest` is what follows in the value.

    `after` is what follows in the header; None: the id stands in the value.
    """

    schema: bytes
    after: bytes | None
    rest: bytes


def read_frame(record: Record) -> Frame | Refusal:
    """Take a value and its frame apart, or return why there is none."""
    value = record.value or b""
    header = next((each for name, each in record.headers if name == SCHEMA_HEADER), None)
    start = value if header is None else header
    length = _ID_BYTES.get(start[0]) if start else None
    if length is None:
        place = "value" if header is None else f"header {SCHEMA_HEADER}"
        return Refusal("not_framed", f"the {place} does not begin with 0 and the id of a schema, nor with 1 and a GUID")
    if len(start) < length:
        return Refusal("frame_truncated", f"a frame has at least {length} bytes, got {len(start)}")
    after = start[length:]
    return Frame(start[:length], None, after) if header is None else Frame(start[:length], after, value)
