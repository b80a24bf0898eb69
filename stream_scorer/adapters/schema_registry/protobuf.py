"""Protobuf, framed for a Schema Registry."""

from collections.abc import Callable
from dataclasses import fields
from functools import partial
from io import BytesIO
from typing import Any, ClassVar

import msgspec
from confluent_kafka.schema_registry import Schema
from confluent_kafka.schema_registry.serde import SchemaId
from confluent_kafka.serialization import SerializationError
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from stream_scorer.adapters.schema_registry.descriptors import as_text, file_in, file_of, message_in, same_data
from stream_scorer.adapters.schema_registry.framed import Decode, FramedForm, Place, SubjectNames
from stream_scorer.adapters.schema_registry.proto_messages import MessageReader, Unreadable
from stream_scorer.adapters.schema_registry.schemas import Kind, SchemaRegistry
from stream_scorer.core.forms.feature_values import NUMBERS, TEXTS, with_values
from stream_scorer.core.forms.frames import Frame
from stream_scorer.core.forms.protobuf_schemas import CANDIDATES, nullable_names
from stream_scorer.core.wire.codec import MAY_BE_ABSENT
from stream_scorer.core.wire.strict_json import Refusal

Path = tuple[int, ...]
Read = Callable[[bytes], bytes | Refusal]
_ROOT = b"\0"  # the frame's short way to say: the first message of the file
_FIRST: Path = (0,)
_PATHS_MAX = 100  # of a schema, each of which costs a reader
_INDEX_BYTES_MAX = 512  # a number without an end costs the library time by the square of its bytes


class FramedProtobuf(FramedForm):
    """Protobuf of any schema whose fields have our names, by the numbers of its writer; written with our own.

    Classes of messages are made from descriptors at run time: nobody compiles anything.
    """

    kind: ClassVar[Kind] = "PROTOBUF"
    index: ClassVar[bytes] = _ROOT

    def __init__(self, registry: SchemaRegistry, message: type[Any], *, place: Place, names: SubjectNames) -> None:
        self._file, self._message = file_of(message), message
        super().__init__(registry, message, as_text(self._file), place=place, names=names)
        self._known = [each.name for each in fields(message)]
        self._nullable = nullable_names(message) - frozenset(MAY_BE_ABSENT)
        descriptor = message_in(self._file, [0])
        assert not isinstance(descriptor, Refusal), "our own schemas are whole"
        self._class = GetMessageClass(descriptor)
        self._value = GetMessageClass(descriptor.nested_types_by_name["Value"]) if _has_values(descriptor) else None

    def _compiled(self, schema: Schema) -> Decode | Refusal:
        if schema.references:
            why = "the schema is spread over several subjects, which is not read: register it as one"
            return Refusal("schema_misfit", why)
        file = file_in(schema, self._message)
        if isinstance(file, Refusal):
            return file
        readers: dict[Path, Read] = {}
        return partial(self._read, readers, lambda path: self._reader(message_in(file, [*path])))

    def _reader(self, descriptor: Any) -> Read | Refusal:
        if isinstance(descriptor, Refusal):
            return descriptor
        return partial(_read, GetMessageClass(descriptor), MessageReader(descriptor, self._known, self._nullable))

    def _read(self, readers: dict[Path, Read], make: Callable[[Path], Read | Refusal], frame: Frame) -> bytes | Refusal:
        found = _path_of(frame)
        if isinstance(found, Refusal):
            return found
        path, body = found
        reader = readers.get(path)
        if reader is None:
            if len(readers) >= _PATHS_MAX:
                return Refusal("schema_misfit", f"records name more than {_PATHS_MAX} messages of the schema")
            made = make(path)
            if isinstance(made, Refusal):
                return made  # and not kept: wrong paths must not use up the places of right ones
            reader = readers[path] = made
        return reader(body)

    def _is_ours(self, schema: Schema) -> bool:
        file = file_in(schema, self._message)
        return not isinstance(file, Refusal) and not schema.references and same_data(file, self._file)

    def _names_of(self, schema: Schema) -> set[str]:
        file = file_in(schema, self._message)
        return set() if isinstance(file, Refusal) else {each.name for each in file.message_type[0].field}

    def _body(self, value: bytes) -> bytes:
        message = with_values(msgspec.json.decode(value), self._wrapped)
        known = {name: each for name, each in message.items() if name in self._known and each is not None}
        if "offers" in known:
            offers = [_stated(each) if isinstance(each, dict) else each for each in known["offers"]]
            known["offers"] = _held(offers) if CANDIDATES in self._class.DESCRIPTOR.nested_types_by_name else offers
        made = self._class(**known)
        # maps have no order: sorted, the same message gives the same bytes
        return bytes(made.SerializeToString(deterministic=True))

    def _wrapped(self, value: Any) -> Any:
        assert self._value is not None, "a message with features has values"
        if value is None:
            return self._value(null=0)
        if isinstance(value, bool):
            return self._value(flag=value)
        if isinstance(value, str):
            return self._value(text=value)
        if isinstance(value, list):
            part = NUMBERS if value and not isinstance(value[0], str) else TEXTS
            return self._value(**{part: {"values": value}})
        return self._value(number=value)


def _stated(offer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in offer.items() if value is not None}


def _held(offers: list[Any]) -> dict[str, list[Any]]:
    """Return a request's offers in the message that tells an empty list from none."""
    return {"offers" if offers and isinstance(offers[0], dict) else "ids": offers}


def _has_values(descriptor: Any) -> bool:
    return "Value" in descriptor.nested_types_by_name


def _path_of(frame: Frame) -> tuple[Path, bytes] | Refusal:
    """Read which message of the file it is, from where the id stands, as confluent-kafka does."""
    start = frame.rest if frame.after is None else frame.after
    if start[:1] == _ROOT:
        return _FIRST, start[1:] if frame.after is None else frame.rest
    schema_id = SchemaId("PROTOBUF")
    try:
        left = schema_id.from_bytes(BytesIO(frame.schema + start[:_INDEX_BYTES_MAX])).read()
    except (EOFError, SerializationError):
        return Refusal("frame_truncated", "the frame ends before it says which message of the schema it is")
    path = tuple(schema_id.message_indexes or ())
    if not path or min(path) < 0:
        return Refusal("schema_misfit", "the frame names no message of the schema")
    return path, left + start[_INDEX_BYTES_MAX:] if frame.after is None else frame.rest


def _read(kind: Any, reader: MessageReader, body: bytes) -> bytes | Refusal:
    try:
        message = kind.FromString(body)
    except (DecodeError, RecursionError, UnicodeDecodeError) as error:
        return Refusal("schema_misfit", f"the value does not fit its schema ({type(error).__name__})")
    size = message.ByteSize()
    message.DiscardUnknownFields()
    if message.ByteSize() != size:
        # what is not in the writer's own schema was not written by it
        return Refusal("schema_misfit", "the value has fields that its schema has not")
    try:
        return msgspec.json.encode(reader.read(message))
    except OverflowError:
        return Refusal("nan_or_infinity", "a number is NaN or infinite, which JSON does not have")
    except Unreadable as error:
        return Refusal("schema_misfit", str(error))
