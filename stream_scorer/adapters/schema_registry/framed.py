"""What the forms of records share whose schemas lie in a registry: the frame, and whether its schema fits."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import MISSING, fields
from typing import Any, ClassVar, Literal

import msgspec
from confluent_kafka.schema_registry import (
    Schema,
    record_subject_name_strategy,
    topic_record_subject_name_strategy,
    topic_subject_name_strategy,
)
from confluent_kafka.serialization import MessageField, SerializationContext
from msgspec import structs

from stream_scorer.adapters.schema_registry.schemas import Kind, SchemaRegistry
from stream_scorer.core.forms.avro_schemas import NAMESPACE
from stream_scorer.core.forms.frames import SCHEMA_HEADER, Frame, read_frame
from stream_scorer.core.forms.topic_forms import as_json, refused
from stream_scorer.core.records import FormedRecord, OutputRecord, Record
from stream_scorer.core.wire.strict_json import Refusal
from stream_scorer.errors import UsageError

Place = Literal["value", "header"]
SubjectNames = Literal["topic", "record", "topic_record"]
Decode = Callable[[Frame], bytes | Refusal]
"""Makes JSON of a frame's value, for one schema."""

_STRATEGIES = {
    "topic": topic_subject_name_strategy,
    "record": record_subject_name_strategy,
    "topic_record": topic_record_subject_name_strategy,
}
# what writers raise over JSON that is no message of ours: fastavro and protobuf have no exception for it
NOT_OURS = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, msgspec.MsgspecError)
_UNKNOWN = Refusal("unknown_schema", "the schema registry knows no schema of this id")


class FramedForm(ABC):
    """See Form. The schema's id is read from the value or from the header, and written where `place` says."""

    kind: ClassVar[Kind]
    index: ClassVar[bytes] = b""  # what is written behind the id, wherever it stands

    def __init__(
        self, registry: SchemaRegistry, message: type[Any], text: str, *, place: Place, names: SubjectNames
    ) -> None:
        """Read records of any schema of this kind; write with `text`, our schema of the message."""
        self._registry, self._text, self._place, self._names = registry, text, place, names
        self._record_name = f"{NAMESPACE}.{message.__name__}"
        self._fields = frozenset(each.name for each in fields(message))
        self._required = [each.name for each in fields(message) if each.default is MISSING]
        # by the id as it stands in frames; no bound is needed, for only ids that the registry knows are kept
        self._decoders: dict[bytes, Decode | Refusal] = {}
        self._written: dict[str, bytes] = {}

    def read(self, record: Record) -> FormedRecord:
        """See Form.read. Raises as SchemaRegistry.schema does."""
        frame = read_frame(record)
        if isinstance(frame, Refusal):
            return refused(record, frame)
        decode = self._decoders.get(frame.schema) or self._look_up(frame.schema)
        value = decode if isinstance(decode, Refusal) else decode(frame)
        return refused(record, value) if isinstance(value, Refusal) else as_json(record, value)

    def _look_up(self, schema_id: bytes) -> Decode | Refusal:
        schema = self._registry.schema(schema_id)
        if schema is None:
            return _UNKNOWN  # and not kept here: it may be registered a moment later
        decoder = self._decoders[schema_id] = self.decoder(schema)
        return decoder

    def decoder(self, schema: Schema) -> Decode | Refusal:
        """Return what reads data of a schema, or why no data of it can be read. Raises as Registry.asking does."""
        kind = schema.schema_type or "AVRO"
        if kind != self.kind:
            return Refusal("schema_kind", f"the record's schema must be {self.kind}, and is {kind}")
        return self._compiled(schema)

    @abstractmethod
    def _compiled(self, schema: Schema) -> Decode | Refusal:
        """Return what reads data of a schema of this kind, or why it is refused."""

    @abstractmethod
    def _is_ours(self, schema: Schema) -> bool:
        """Return whether our bytes are written by this schema of our kind."""

    @abstractmethod
    def _names_of(self, schema: Schema) -> set[str]:
        """Return the names of the fields of a message in a schema that can be read."""

    @abstractmethod
    def _body(self, value: bytes) -> bytes:
        """Return JSON in this format. Raises one of NOT_OURS for JSON that is not of our message."""

    def write(self, output: OutputRecord) -> OutputRecord:
        """See Form.write. Raises as SchemaRegistry.ids_of does."""
        frame = (self._written.get(output.topic) or self._find(output.topic)) + self.index
        try:
            body = self._body(output.value or b"")
        except NOT_OURS as error:
            raise UsageError(f"a record for {output.topic} is no message of it ({type(error).__name__})") from error
        if self._place == "value":
            return structs.replace(output, value=frame + body)
        others = [header for header in output.headers if header[0] != SCHEMA_HEADER]
        return structs.replace(output, value=body, headers=[*others, (SCHEMA_HEADER, frame)])

    def _find(self, topic: str) -> bytes:
        """Return the id that we write, and keep it: a header holds the GUID where the registry gives any."""
        ids = self._registry.ids_of(
            self._subject(topic),
            self._text,
            self.kind,
            same=lambda each: (each.schema_type or "AVRO") == self.kind and self._is_ours(each),
        )
        schema = ids.guid if self._place == "header" and ids.guid else ids.number
        self._written[topic] = schema
        return schema

    def _subject(self, topic: str) -> str:
        context = SerializationContext(topic, MessageField.VALUE)
        return _STRATEGIES[self._names](context, self._record_name) or ""

    def look_at(self, topic: str, *, writes: bool) -> str:
        """Return what the registry says of a topic's schema, without registering any.

        Raises UsageError where nothing could be written, or nothing of the newest schema read; and as
        SchemaRegistry.asking does.
        """
        subject = self._subject(topic)
        self._registry.reach()
        newest = self._registry.newest(subject)
        if newest is None:
            if writes and not self._registry.register:
                self._find(topic)  # raises, with what to do
            return f"the subject {subject} has no schema yet"
        if writes:
            return self._look_at_ours(topic, subject)
        decoder = self.decoder(newest)
        if isinstance(decoder, Refusal):
            raise UsageError(f"the newest schema of the subject {subject} cannot be read: {decoder.message}")
        if missing := sorted(set(self._required) - self._names_of(newest)):
            raise UsageError(f"the newest schema of the subject {subject} lacks the field {missing[0]}")
        return f"the newest schema of the subject {subject} can be read"

    def _look_at_ours(self, topic: str, subject: str) -> str:
        if not self._registry.register:
            self._find(topic)
        elif not self._registry.takes(subject, self._text, self.kind):
            raise UsageError(f"the schema registry would not take our schema for the subject {subject}: not compatible")
        return f"our schema fits the subject {subject}"
