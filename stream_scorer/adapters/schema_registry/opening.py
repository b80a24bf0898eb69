"""The forms of this extra by their names in the settings: what others need to import of it."""

from typing import Any

from stream_scorer.adapters.schema_registry.avro import FramedAvro
from stream_scorer.adapters.schema_registry.framed import FramedForm, Place, SubjectNames
from stream_scorer.adapters.schema_registry.framed_json import FramedJson
from stream_scorer.adapters.schema_registry.protobuf import FramedProtobuf
from stream_scorer.adapters.schema_registry.schemas import SchemaRegistry

__all__ = ["FramedForm", "SchemaRegistry", "framed_form"]

_FORMS: dict[str, type[FramedAvro | FramedJson | FramedProtobuf]] = {
    "avro": FramedAvro,
    "json_schema": FramedJson,
    "protobuf": FramedProtobuf,
}


def framed_form(
    name: str, registry: SchemaRegistry, message: type[Any], *, place: Place, names: SubjectNames
) -> FramedForm:
    """Return the form of that name for a topic of such messages."""
    return _FORMS[name](registry, message, place=place, names=names)
