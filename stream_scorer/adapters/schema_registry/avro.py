"""Avro, framed for a Schema Registry."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from io import BytesIO
from math import isfinite
from struct import error as StructError  # noqa: N812  named as exceptions are
from typing import Any, ClassVar
from uuid import UUID

import msgspec
from confluent_kafka.schema_registry import Schema
from fastavro import parse_schema, schemaless_reader, schemaless_writer
from fastavro.schema import SchemaParseException, UnknownType, to_parsing_canonical_form

from stream_scorer.adapters.schema_registry.framed import Decode, FramedForm, Place, SubjectNames
from stream_scorer.adapters.schema_registry.schemas import Kind, SchemaRegistry
from stream_scorer.core.forms.avro_bounds import costly
from stream_scorer.core.forms.avro_schemas import avro_schema, record_name
from stream_scorer.core.forms.feature_values import unwrapped, with_values, without_absent, wrapped
from stream_scorer.core.forms.frames import Frame
from stream_scorer.core.wire.strict_json import Refusal

# what fastavro raises over bytes that are not of a schema
_MISFITS = (
    EOFError, ValueError, TypeError, IndexError, KeyError, OverflowError, RecursionError, StructError, MemoryError,
    AttributeError, ArithmeticError,
)  # fmt: skip
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_ALIKE = frozenset({str, int, bool, type(None)})
_RICHER: dict[type, Callable[[Any], object]] = {
    datetime: lambda time: (time - _EPOCH) // _MILLISECOND,
    Decimal: lambda number: _finite(float(number)),
    UUID: str,
}


class FramedAvro(FramedForm):
    """Avro of any schema whose fields have our names; it is written with our own, see core/forms/avro_schemas.py.

    What is read is what the writer's schema says, and the contract judges it by the fields' names: no schema of ours is
    resolved against it, so that no default of ours stands for what the writer left out but those of the contract.
    """

    kind: ClassVar[Kind] = "AVRO"

    def __init__(self, registry: SchemaRegistry, message: type[Any], *, place: Place, names: SubjectNames) -> None:
        schema = avro_schema(message)
        super().__init__(registry, message, msgspec.json.encode(schema).decode(), place=place, names=names)
        self._schema = parse_schema(schema)

    def _compiled(self, schema: Schema) -> Decode | Refusal:
        parsed = self._parsed(schema)
        return parsed if isinstance(parsed, Refusal) else partial(_read, parsed, self._fields)

    def _parsed(self, schema: Schema) -> Any:
        """Return a schema as fastavro reads by it, or why nothing is read by it."""
        try:
            text = json.loads(schema.schema_str or "")
            if schema.references:
                return _misfit("the schema is spread over several subjects, which is not read: register it as one")
            if why := costly(text):
                return _misfit(why)
            parsed = parse_schema(text)
        except (SchemaParseException, UnknownType, *_MISFITS) as error:
            return _misfit(f"the schema is not one of Avro ({type(error).__name__})")
        return parsed if isinstance(text, dict) and text.get("type") == "record" else _misfit("it is not of a record")

    def _is_ours(self, schema: Schema) -> bool:
        parsed = self._parsed(schema)
        if isinstance(parsed, Refusal):
            return False
        return bool(to_parsing_canonical_form(parsed) == to_parsing_canonical_form(self._schema))

    def _names_of(self, schema: Schema) -> set[str]:
        return {field["name"] for field in json.loads(schema.schema_str or "")["fields"]}

    def _body(self, value: bytes) -> bytes:
        message = with_values(msgspec.json.decode(value), lambda each: wrapped(each, _branch))
        written = BytesIO()
        schemaless_writer(written, self._schema, message)
        return written.getvalue()


def _read(schema: Any, names: frozenset[str], frame: Frame) -> bytes | Refusal:
    data = BytesIO(frame.rest)
    try:
        message: Any = schemaless_reader(data, schema, None)
    except _MISFITS as error:
        return _misfit(f"the value does not fit its schema ({type(error).__name__})")
    if data.read(1):
        return _misfit("the value goes on behind what its schema says")
    known = {name: value for name, value in message.items() if name in names}
    try:
        return msgspec.json.encode(json_like(with_values(without_absent(known), unwrapped)))
    except OverflowError:
        return Refusal("nan_or_infinity", "a number is NaN or infinite, which JSON does not have")
    except (TypeError, ValueError, RecursionError):
        return _misfit("a field is of a type that no message has, such as bytes or a date")


def _branch(part: str, values: list[Any]) -> tuple[str, dict[str, list[Any]]]:
    # named, or fastavro tries every branch of the union on the whole list
    return record_name(part), {part: values}


def _misfit(why: str) -> Refusal:
    return Refusal("schema_misfit", why)


def _finite(number: float) -> float:
    if not isfinite(number):
        raise OverflowError  # JSON would have null for it, which is another value
    return number


def json_like(value: Any) -> Any:
    """Return a value of Avro as JSON has it.

    Raises TypeError for what no message of ours has, such as bytes, and OverflowError for NaN.
    A time becomes milliseconds since the epoch, rounded down; a decimal the nearest double; a UUID its text.
    """
    kind = type(value)
    if kind is float:
        return _finite(value)
    if kind in _ALIKE:
        return value
    if kind is dict:
        return {name: json_like(each) for name, each in value.items()}
    if kind is list:
        return [json_like(each) for each in value]
    if kind in _RICHER:
        return _RICHER[kind](value)
    raise TypeError(kind.__name__)
