"""Headers of dead letters: the contract's, those of Kafka Connect and of Spring, and the refused record's own."""

import struct
from collections.abc import Collection, Iterator, Sequence
from typing import Literal

from stream_scorer.core.records import DeadLetter

Headers = Sequence[tuple[str, bytes]]
HeaderStyle = Literal["ours", "connect", "spring"]

ATTEMPT = "resend.attempt"
RESENT_FROM = "resend.from"
HEADERS_DROPPED = "source.headers.dropped"
CARRIED_BYTES_MAX = 4_096

_CONTRACT = {
    "error.code",
    "error.message",
    "source.topic",
    "source.partition",
    "source.offset",
    "source.timestamp",
    HEADERS_DROPPED,
    *(f"{part}.{fact}" for part in ("key", "value") for fact in ("truncated", "length", "sha256")),
}
_ATTEMPTS = frozenset({ATTEMPT, RESENT_FROM})
_CONNECT = "__connect.errors."
_SPRING = "kafka_dlt-"


def own_headers(headers: Headers) -> list[tuple[str, bytes]]:
    """Return the headers that a record's producer gave it: all but those that say why and where it was refused."""
    return [
        header for header in headers if header[0] not in _CONTRACT and not header[0].startswith((_CONNECT, _SPRING))
    ]


def attempt_headers(headers: Headers) -> Headers:
    """Return the headers that number a record's attempts; what a record becomes on the next topic must keep them."""
    return [header for header in headers if header[0] in _ATTEMPTS] if headers else ()


def passed_headers(headers: Headers, names: Collection[str]) -> Headers:
    """Return those of a record's headers that go on with what it becomes, as far as `CARRIED_BYTES_MAX` allows."""
    if not headers:
        return ()
    kept, left = [], CARRIED_BYTES_MAX
    for name, value in headers:
        if name in names and (size := len(name) + len(value)) <= left:
            kept.append((name, value))
            left -= size
    return tuple(kept)


def carried(headers: Headers) -> tuple[list[tuple[str, bytes]], int]:
    """Return those of a refused record's own headers that go on with it, and how many are dropped for want of room.

    The number of the attempt goes first: without it a record that fails for ever would be sent again for ever.
    """
    kept, left = [], CARRIED_BYTES_MAX
    own = sorted(own_headers(headers), key=lambda header: header[0] not in _ATTEMPTS)
    for name, value in own:
        size = len(name.encode(errors="replace")) + len(value)
        if size <= left:
            kept.append((name, value))
            left -= size
    return kept, len(own) - len(kept)


def styled(letter: DeadLetter, message: str, style: HeaderStyle) -> list[tuple[str, bytes]]:
    """Return the headers by which tools for another system's dead letters know the reason and the source."""
    if style == "ours":
        return []
    return list(_as_connect(letter, message) if style == "connect" else _as_spring(letter, message))


def _as_connect(letter: DeadLetter, message: str) -> Iterator[tuple[str, bytes]]:
    """Yield what `DeadLetterQueueReporter` of Kafka Connect writes: text throughout, numbers in decimal."""
    record = letter.record
    facts = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "connector.name": "stream-scorer",
        "task.id": 0,
        "stage": "TASK_PUT",
        "class.name": "stream_scorer",
        "exception.class.name": f"stream_scorer.{letter.code}",
        "exception.message": message,
    }
    for name, fact in facts.items():
        yield _CONNECT + name, str(fact).encode()


def _as_spring(letter: DeadLetter, message: str) -> Iterator[tuple[str, bytes]]:
    """Yield what `DeadLetterPublishingRecoverer` of Spring Kafka writes: its numbers are big-endian, as Java's are."""
    record = letter.record
    yield _SPRING + "exception-fqcn", f"stream_scorer.{letter.code}".encode()
    yield _SPRING + "exception-message", message.encode()
    yield _SPRING + "original-topic", record.topic.encode()
    yield _SPRING + "original-partition", struct.pack(">i", record.partition)
    yield _SPRING + "original-offset", struct.pack(">q", record.offset)
    yield _SPRING + "original-timestamp", struct.pack(">q", record.timestamp_ms)
