"""Dead letters read back: why and where a record was refused, and the record to send again."""

import re
from dataclasses import dataclass

from stream_scorer.core.records import OutputRecord, Partition, Record
from stream_scorer.core.wire.letter_headers import ATTEMPT, HEADERS_DROPPED, RESENT_FROM, own_headers

_NUMBER = re.compile(r"[0-9]{1,18}")
_NAME = re.compile(r"[A-Za-z0-9._-]{1,249}")  # what Kafka allows for a topic, and more than any code of ours needs
_ATTEMPT_MAX = 1_000_000


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter: its record as it lies on the topic, and what its headers say.

    `attempt` is how often the refused record was sent, 1 for the first time; None: its header is not a number.
    """

    record: Record
    code: str
    message: str
    source: Partition
    offset: int
    timestamp_ms: int
    attempt: int | None
    is_shortened: bool
    lost_headers: bool

    @property
    def place(self) -> str:
        """Return where the letter lies: "3@17" is offset 17 of partition 3."""
        return f"{self.record.partition}@{self.record.offset}"


def read_letter(record: Record) -> Letter | None:
    """Read a dead letter; None for a record without a code or a source, which none of our jobs has written."""
    headers = {name: value.decode(errors="replace") for name, value in record.headers}
    numbers = [_number(headers.get(f"source.{name}", "")) for name in ("partition", "offset", "timestamp")]
    partition, offset, timestamp_ms = numbers
    topic, code = headers.get("source.topic", ""), headers.get("error.code", "")
    if partition is None or offset is None or not (_is_name(topic) and _is_name(code)):
        return None
    return Letter(
        record,
        code,
        headers.get("error.message", ""),
        Partition(topic, partition),
        offset,
        timestamp_ms or 0,
        _attempt(headers.get(ATTEMPT)),
        not headers.keys().isdisjoint(("key.truncated", "value.truncated")),
        HEADERS_DROPPED in headers,
    )


def _is_name(text: str) -> bool:
    return _NAME.fullmatch(text) is not None


def _number(text: str) -> int | None:
    return int(text) if _NUMBER.fullmatch(text) else None


def _attempt(text: str | None) -> int | None:
    if text is None:
        return 1
    attempt = _number(text)
    return attempt if attempt is not None and 1 <= attempt <= _ATTEMPT_MAX else None


def sent_again(letter: Letter, topic: str, *, partition: int | None) -> OutputRecord:
    """Return the refused record as it was sent, with the number of this attempt and the letter's place in headers."""
    own = [header for header in own_headers(letter.record.headers) if header[0] not in {ATTEMPT, RESENT_FROM}]
    place = f"{letter.record.topic}[{letter.record.partition}]@{letter.record.offset}"
    ours = [(ATTEMPT, str((letter.attempt or 1) + 1).encode()), (RESENT_FROM, place.encode())]
    return OutputRecord(topic, letter.record.key, letter.record.value, [*own, *ours], partition)
