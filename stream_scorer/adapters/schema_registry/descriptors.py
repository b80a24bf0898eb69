"""Descriptors of Protobuf made at run time: of our own schemas, and of those that a registry holds."""

import base64
import binascii
import re
from typing import Any

from confluent_kafka.schema_registry import Schema
from google.protobuf import struct_pb2, timestamp_pb2, wrappers_pb2
from google.protobuf.descriptor import Descriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError

from stream_scorer.core.forms.avro_schemas import NAMESPACE
from stream_scorer.core.forms.protobuf_schemas import NULL, ProtoField, ProtoMessage, proto_parts, proto_text
from stream_scorer.core.wire.strict_json import Refusal

_TYPES = {
    "string": FieldDescriptorProto.TYPE_STRING,
    "double": FieldDescriptorProto.TYPE_DOUBLE,
    "int64": FieldDescriptorProto.TYPE_INT64,
    "bool": FieldDescriptorProto.TYPE_BOOL,
}
_KNOWN = (timestamp_pb2, struct_pb2, wrappers_pb2)
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)


def file_of(message: type[Any]) -> FileDescriptorProto:
    """Return our schema of a message, as protoc would make it of the file in schemas/."""
    root, *parts = proto_parts(message)
    file = FileDescriptorProto(name=f"{message.__name__}.proto", package=NAMESPACE, syntax="proto3")
    place = f".{NAMESPACE}.{root.name}"
    made = file.message_type.add(name=root.name)
    _fill(made, root, place, place)
    for part in parts:
        _fill(made.nested_type.add(name=part.name), part, place, f"{place}.{part.name}")
    return file


def as_text(file: FileDescriptorProto) -> str:
    """Return a schema as confluent-kafka's serializers register it."""
    return base64.standard_b64encode(file.SerializeToString(deterministic=True)).decode()


def file_in(schema: Schema, ours: type[Any]) -> FileDescriptorProto | Refusal:
    """Return the file in a registry's answer, which was asked for it in its serialized form.

    Some registries give the text that was registered instead. That would need a compiler, and is read only where it is
    ours but for comments and spaces.
    """
    text = schema.schema_str or ""
    if _bare(text) == _bare(proto_text(ours)):
        return file_of(ours)
    try:
        file = FileDescriptorProto.FromString(base64.b64decode(text, validate=True))
    except (DecodeError, binascii.Error, ValueError):
        return Refusal(
            "schema_misfit",
            "the registry gives the schema as text, and only its serialized form is read: this registry needs "
            "schemas/*.proto as it is, or one registered in that form",
        )
    file.name = "schema.proto"  # whatever the writer called it: nothing refers to it
    return file


def message_in(file: FileDescriptorProto, path: list[int]) -> Descriptor | Refusal:
    """Return the message of a file that a frame names, by the places of it and of those around it."""
    pool = DescriptorPool()
    for module in _KNOWN:
        pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
    try:
        pool.Add(file)
        found = pool.FindFileByName(file.name)
        inner = [*found.message_types_by_name.values()]
        for place in path:
            descriptor = inner[place]
            inner = [*descriptor.nested_types]
    except (TypeError, KeyError, IndexError) as error:
        why = f"the schema has no message at the frame's place, or refers to others ({type(error).__name__})"
        return Refusal("schema_misfit", why)
    return descriptor


def same_data(file: FileDescriptorProto, other: FileDescriptorProto) -> bool:
    """Return whether data of both files are the same bytes, whatever stands about it."""
    return _plain(file) == _plain(other)


def _plain(file: FileDescriptorProto) -> bytes:
    only = FileDescriptorProto(message_type=file.message_type, package=file.package)
    for message in only.message_type:
        _forget_json_names(message)
    return bytes(only.SerializeToString(deterministic=True))


def _forget_json_names(message: DescriptorProto) -> None:
    for field in message.field:
        field.ClearField("json_name")
    for inner in message.nested_type:
        _forget_json_names(inner)


def _bare(text: str) -> list[str]:
    return re.findall(r"\w+|[^\w\s]", _COMMENT.sub(" ", text))


def _fill(made: DescriptorProto, part: ProtoMessage, place: str, own: str) -> None:
    if part.choice:
        made.oneof_decl.add(name=part.choice)
        made.enum_type.add(name=NULL).value.add(name="NULL", number=0)
    for number, field in enumerate(part.fields, 1):
        added = _add(made, field, number, place, own)
        if part.choice:
            added.oneof_index = 0
        elif field.label == "optional":
            # what protoc makes of `optional`: a choice of one
            added.proto3_optional, added.oneof_index = True, len(made.oneof_decl)
            made.oneof_decl.add(name=f"_{field.name}")


def _add(made: DescriptorProto, field: ProtoField, number: int, place: str, own: str) -> FieldDescriptorProto:
    many = field.label in {"repeated", "map"}
    label = FieldDescriptorProto.LABEL_REPEATED if many else FieldDescriptorProto.LABEL_OPTIONAL
    added = made.field.add(name=field.name, number=number, label=label)
    if field.label == "map":
        name = f"{field.name.capitalize()}Entry"
        entry = made.nested_type.add(name=name)
        entry.options.map_entry = True
        _typed(entry.field.add(name="key", number=1, label=FieldDescriptorProto.LABEL_OPTIONAL), "string", place)
        _typed(entry.field.add(name="value", number=2, label=FieldDescriptorProto.LABEL_OPTIONAL), field.kind, place)
        added.type, added.type_name = FieldDescriptorProto.TYPE_MESSAGE, f"{own}.{name}"
    elif field.kind == NULL:
        added.type, added.type_name = FieldDescriptorProto.TYPE_ENUM, f"{own}.{NULL}"
    else:
        _typed(added, field.kind, place)
    return added


def _typed(added: FieldDescriptorProto, kind: str, place: str) -> None:
    if kind in _TYPES:
        added.type = _TYPES[kind]
    else:
        added.type, added.type_name = FieldDescriptorProto.TYPE_MESSAGE, f"{place}.{kind}"
