"""Dead letters as records, bounded so that their topic takes each of them whatever its source was."""

from hashlib import sha256

from stream_scorer.core.messages import RECORD_BYTES_MAX
from stream_scorer.core.records import DeadLetter, OutputRecord, as_sent
from stream_scorer.core.wire.letter_headers import HEADERS_DROPPED, HeaderStyle, carried, styled

VALUE_BYTES_MAX = RECORD_BYTES_MAX
KEY_BYTES_MAX = 32_768
HEAD_BYTES = 16_384
MESSAGE_CHARS_MAX = 1_000
# together with the headers and the protocol's own bytes these stay below 1,048,588 bytes, Kafka's default bound


def dead_letter_record(dead_letter: DeadLetter, topic: str, style: HeaderStyle = "ours") -> OutputRecord:
    """Carry a record on, its key and value untouched, with the reason and where it came from in the headers.

    Of a value over `VALUE_BYTES_MAX` or a key over `KEY_BYTES_MAX` only the first `HEAD_BYTES` go on; headers then
    state its length and its SHA-256, so that the record at `source.offset` can be recognised. The record's own headers
    follow ours as far as `CARRIED_BYTES_MAX` allows: a trace goes on, and so does the number of the attempt.
    """
    record, message = as_sent(dead_letter.record), dead_letter.message[:MESSAGE_CHARS_MAX]
    own, dropped = carried(record.headers)
    headers = {
        "error.code": dead_letter.code,
        "error.message": message,
        "source.topic": record.topic,
        "source.partition": record.partition,
        "source.offset": record.offset,
        "source.timestamp": record.timestamp_ms,
    }
    key, of_key = _bounded("key", record.key, KEY_BYTES_MAX)
    value, of_value = _bounded("value", record.value, VALUE_BYTES_MAX)
    headers |= of_key | of_value | ({HEADERS_DROPPED: dropped} if dropped else {})
    ours = [(name, str(text).encode()) for name, text in headers.items()]
    return OutputRecord(topic, key, value, [*ours, *styled(dead_letter, message, style), *own])


def _bounded(name: str, data: bytes | None, bytes_max: int) -> tuple[bytes | None, dict[str, str | int]]:
    if data is None or len(data) <= bytes_max:
        return data, {}
    about: dict[str, str | int] = {
        f"{name}.truncated": "true",
        f"{name}.length": len(data),
        f"{name}.sha256": sha256(data).hexdigest(),
    }
    return data[:HEAD_BYTES], about
