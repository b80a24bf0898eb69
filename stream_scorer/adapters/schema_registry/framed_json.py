"""JSON with a JSON Schema, framed for a Schema Registry."""

import json
from typing import Any, ClassVar

from confluent_kafka.schema_registry import Schema
from pydantic import TypeAdapter

from stream_scorer.adapters.schema_registry.framed import Decode, FramedForm, Place, SubjectNames
from stream_scorer.adapters.schema_registry.schemas import Kind, SchemaRegistry
from stream_scorer.core.wire.strict_json import Refusal

# a pattern of ids is written as our own engine reads it, and as others do in schemas/
_NOTES = frozenset({"description", "title", "$schema", "$id", "$comment", "examples", "pattern"})


class FramedJson(FramedForm):
    """Its bytes go to the strict decoder as they are: a parser between would hide a key that stands there twice.

    Schemas are not applied: the contract is, whichever fields a schema adds.
    """

    kind: ClassVar[Kind] = "JSON"

    def __init__(self, registry: SchemaRegistry, message: type[Any], *, place: Place, names: SubjectNames) -> None:
        self._schema = without_notes(TypeAdapter(message).json_schema())
        super().__init__(registry, message, json.dumps(self._schema), place=place, names=names)

    def _compiled(self, schema: Schema) -> Decode | Refusal:
        return lambda frame: frame.rest

    def _is_ours(self, schema: Schema) -> bool:
        return bool(without_notes(json.loads(schema.schema_str or "null")) == self._schema)

    def _names_of(self, schema: Schema) -> set[str]:
        parsed = json.loads(schema.schema_str or "null")
        return set(parsed.get("properties", ())) if isinstance(parsed, dict) else set()

    def _body(self, value: bytes) -> bytes:
        return value


def without_notes(schema: Any) -> Any:
    """Return a JSON Schema without what only people read, and patterns: two that differ in them alone are one."""
    if isinstance(schema, list):
        return [without_notes(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    # below `properties` stand names of fields, which may be called as a note is
    return {
        name: {each: without_notes(inner) for each, inner in value.items()}
        if name == "properties" and isinstance(value, dict)
        else without_notes(value)
        for name, value in schema.items()
        if name not in _NOTES
    }
