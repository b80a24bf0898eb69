"""Which topics have another form than plain JSON, and what a form is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from stream_scorer.core.records import FormedRecord, OutputRecord, Record
from stream_scorer.core.wire.letter_headers import Headers
from stream_scorer.core.wire.strict_json import Refusal

_SOURCE_TOPIC = "source.topic"


class Form(Protocol):
    """How the values of a topic are written. Never guesses: what is not in its form is refused."""

    def read(self, record: Record) -> FormedRecord:
        """Return the record with the JSON that is in it, or with the reason why it cannot be read."""

    def write(self, output: OutputRecord) -> OutputRecord:
        """Return the output, whose value is JSON, in this form: the same bytes for the same value."""


@dataclass(frozen=True, slots=True)
class TopicForms:
    """The forms of topics by name; those that it does not name are plain JSON and pass through untouched.

    On the topic of `letters`, refused records are read in the forms of the topics that they came from.
    """

    forms: Mapping[str, Form]
    letters: str | None = None

    def read(self, records: Sequence[Record]) -> list[Record]:
        """Return the records with JSON for values; a tombstone stays what it is in every form."""
        return [record if record.value is None else self._read(record) for record in records]

    def _read(self, record: Record) -> Record:
        if record.topic == self.letters:
            return self._read_letter(record)
        form = self.forms.get(record.topic)
        return record if form is None else form.read(record)

    def _read_letter(self, letter: Record) -> Record:
        source = next((value.decode(errors="replace") for name, value in letter.headers if name == _SOURCE_TOPIC), "")
        form = self.forms.get(source)
        if form is None:
            return letter
        read = form.read(letter)
        return letter if read.code else read

    def write(self, outputs: Sequence[OutputRecord]) -> list[OutputRecord]:
        """Return the outputs, each in the form of its topic."""
        return [output if output.value is None else self._write(output) for output in outputs]

    def _write(self, output: OutputRecord) -> OutputRecord:
        form = self.forms.get(output.topic)
        return output if form is None else form.write(output)


def as_json(record: Record, value: bytes, *, headers: Headers | None = None) -> FormedRecord:
    """Return a record that holds this JSON; `headers` go in the place of its own."""
    own = record.headers if headers is None else headers
    return FormedRecord(
        record.topic, record.partition, record.offset, record.key, value, record.timestamp_ms, own, sent=record
    )


def refused(record: Record, refusal: Refusal) -> FormedRecord:
    """Return a record that cannot be read in its topic's form."""
    place = (record.topic, record.partition, record.offset, record.key)
    return FormedRecord(
        *place, b"", record.timestamp_ms, record.headers, sent=record, code=refusal.code, reason=refusal.message
    )
