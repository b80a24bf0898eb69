"""CloudEvents 1.0 over Kafka: the event's attributes in headers (binary), or one JSON object (structured).

Sources: the CloudEvents specification 1.0.2, its JSON event format, and its Kafka protocol binding. Both modes are read
on every topic of events, as the binding demands of who receives; which one is written is the topic's setting.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Literal

import msgspec
from msgspec import structs

from stream_scorer.core.forms.times import rfc3339
from stream_scorer.core.forms.topic_forms import as_json, refused
from stream_scorer.core.messages import RECORD_BYTES_MAX
from stream_scorer.core.records import FormedRecord, OutputRecord, Record
from stream_scorer.core.wire.letter_headers import Headers
from stream_scorer.core.wire.strict_json import Refusal, loads_strict
from stream_scorer.errors import UsageError

Mode = Literal["binary", "structured"]

SPEC_VERSION = "1.0"
ENVELOPE_BYTES_MAX = 8_000  # attributes of ours: two ids of 256 characters, escaped, and the two texts of the settings
_STRUCTURED = "application/cloudevents+json"
_ANY_FORMAT = "application/cloudevents"
_JSON = "application/json"
_MEDIA = "content-type"
_REQUIRED = ("id", "source", "type")
_TRACE = ("traceparent", "tracestate")


class _Facts(msgspec.Struct):
    """What the attributes of an event are made of, whichever message of ours it is."""

    customer_id: str | None = None
    offer_id: str | None = None
    event_time_ms: int | None = None
    request_time_ms: int | None = None


class _Envelope(msgspec.Struct, omit_defaults=True):
    specversion: str
    id: str
    source: str
    type: str
    data: msgspec.Raw
    subject: str | None = None
    time: str | None = None
    datacontenttype: str | None = None


class _Data(msgspec.Struct):
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_facts_of = msgspec.json.Decoder(_Facts).decode
_data_of = msgspec.json.Decoder(_Data).decode
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class CloudEvents:
    """See Form. Events of one type; those that are written have this source.

    `data_bytes_max` bounds what is parsed of an event that another program wrote.
    """

    event_type: str
    source: str
    mode: Mode
    data_bytes_max: int = RECORD_BYTES_MAX

    def read(self, record: Record) -> FormedRecord:
        """See Form.read."""
        headers = {name.lower(): value.decode(errors="replace") for name, value in record.headers}
        if len(headers) < len(record.headers) and _disagree(record.headers, headers):
            why = "an attribute or the content-type is there twice, with different values"
            return refused(record, Refusal("not_a_cloudevent", why))
        media = _media_type(headers.get(_MEDIA, ""))
        if media == _STRUCTURED:
            return self._read_structured(record)
        if media.startswith(_ANY_FORMAT):
            return refused(record, Refusal("cloudevent_data", f"of the formats of events only {_STRUCTURED} is read"))
        if "ce_specversion" not in headers:
            why = f"there is neither a header ce_specversion nor the content-type {_STRUCTURED}"
            return refused(record, Refusal("not_a_cloudevent", why))
        event = {name.removeprefix("ce_"): value for name, value in headers.items() if name.startswith("ce_")}
        fault = self._fault(event, media)
        return refused(record, fault) if fault else self._with_data(record, record.value or b"", event)

    def _read_structured(self, record: Record) -> FormedRecord:
        # read strictly as a whole: a `data` that stands there twice would else be taken from one place unseen
        event = loads_strict(record.value, bytes_max=self.data_bytes_max + ENVELOPE_BYTES_MAX)
        if isinstance(event, Refusal):
            return refused(record, event)
        if fault := self._fault(event, _media_type(event.get("datacontenttype"))):
            return refused(record, fault)
        data = _data_of(record.value or b"").data
        if "data_base64" in event:
            return refused(record, Refusal("cloudevent_data", "the event has data_base64, and JSON is needed"))
        if isinstance(data, msgspec.UnsetType):
            return refused(record, Refusal("cloudevent_data", "the event has no data"))
        return self._with_data(record, bytes(data), event)

    def _with_data(self, record: Record, data: bytes, event: Mapping[str, Any]) -> FormedRecord:
        """Return the record; a trace that is an attribute of the event becomes a header, as without events."""
        names = {name for name, _ in record.headers}
        trace = [(name, event[name].encode(errors="replace")) for name in _TRACE if isinstance(event.get(name), str)]
        return as_json(record, data, headers=[*record.headers, *(one for one in trace if one[0] not in names)])

    def _fault(self, event: Mapping[str, Any], media: str) -> Refusal | None:
        if event.get("specversion") != SPEC_VERSION:
            return Refusal("cloudevent_version", f"the event's specversion must be {SPEC_VERSION}")
        for name in _REQUIRED:
            if not isinstance(event.get(name), str) or not event[name]:
                return Refusal("not_a_cloudevent", f"the event has no {name}")
        if event["type"] != self.event_type:
            return Refusal("cloudevent_type", f"the event's type must be {self.event_type}")
        if media and media != _JSON and not media.endswith("+json"):
            return Refusal("cloudevent_data", f"the event's data must be {_JSON}")
        return None

    def write(self, output: OutputRecord) -> OutputRecord:
        """See Form.write.

        The id is derived from the value, so that a copy of an event has its id and any other event another one. Subject
        and time are the message's own. Raises UsageError for a value that is not JSON.
        """
        value = output.value or b""
        try:
            facts = _facts_of(value)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise UsageError(f"a record for {output.topic} is no JSON of ours, so that no event can hold it") from error
        attributes = self._attributes(value, facts)
        if self.mode == "binary":
            own = {f"ce_{name}": text.encode() for name, text in attributes.items()} | {_MEDIA: _JSON.encode()}
            return structs.replace(output, headers=_with_own(output.headers, own))
        envelope = _Envelope(**attributes, datacontenttype=_JSON, data=msgspec.Raw(value))
        own = {_MEDIA: f"{_STRUCTURED}; charset=UTF-8".encode()}
        return structs.replace(output, value=_encode(envelope), headers=_with_own(output.headers, own))

    def _attributes(self, value: bytes, facts: _Facts) -> dict[str, str]:
        attributes = {
            "specversion": SPEC_VERSION,
            "id": sha256(value).hexdigest()[:32],
            "source": self.source,
            "type": self.event_type,
        }
        if (subject := facts.customer_id or facts.offer_id) is not None:
            attributes["subject"] = subject
        if (time_ms := facts.request_time_ms if facts.event_time_ms is None else facts.event_time_ms) is not None:
            attributes["time"] = rfc3339(time_ms)
        return attributes


def _disagree(headers: Headers, last: Mapping[str, str]) -> bool:
    """Return whether what makes a record an event stands there twice and differs, so that one would count unseen."""
    named = ((name.lower(), value.decode(errors="replace")) for name, value in headers)
    return any(last[name] != value for name, value in named if name == _MEDIA or name.startswith("ce_"))


def _with_own(headers: Headers, own: Mapping[str, bytes]) -> Headers:
    """Return headers that go on and the event's own, in the place of those of their name, which are another's."""
    return [*(header for header in headers if header[0].lower() not in own), *own.items()]


def _media_type(text: object) -> str:
    return text.partition(";")[0].strip().lower() if isinstance(text, str) else ""
