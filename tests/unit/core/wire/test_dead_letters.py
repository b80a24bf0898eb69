"""Dead letters as records."""

from hashlib import sha256

import pytest

from stream_scorer.core.records import DeadLetter, OutputRecord, Record
from stream_scorer.core.wire.dead_letters import HEAD_BYTES, KEY_BYTES_MAX, VALUE_BYTES_MAX, dead_letter_record
from stream_scorer.core.wire.letter_headers import CARRIED_BYTES_MAX, HeaderStyle

KAFKA_DEFAULT_BYTES_MAX = 1_048_588


def letter_of(
    key: bytes | None, value: bytes | None, *, message: str = "why", style: HeaderStyle = "ours"
) -> OutputRecord:
    own = [("h", b"x" * 3_000_000), ("own", b"x" * (CARRIED_BYTES_MAX - 3))]
    record = Record("t" * 249, 3, 2**62, key, value, 1_700_000_000_000, own)
    return dead_letter_record(DeadLetter(record, "record_too_large", message), "dead-letters", style)


def size_of(letter: OutputRecord) -> int:
    return len(letter.key or b"") + len(letter.value or b"") + sum(len(n) + len(v) for n, v in letter.headers)


def test_dead_letters_carry_record_and_source() -> None:
    record = Record("acceptances", 3, 99, b"\x00key", b"\xffvalue", 1_700_000_000_000)
    output = dead_letter_record(DeadLetter(record, "not_utf8", "the value is not UTF-8 at byte 0"), "dead-letters")
    assert (output.topic, output.key, output.value) == ("dead-letters", b"\x00key", b"\xffvalue")
    assert list(output.headers) == [
        ("error.code", b"not_utf8"),
        ("error.message", b"the value is not UTF-8 at byte 0"),
        ("source.topic", b"acceptances"),
        ("source.partition", b"3"),
        ("source.offset", b"99"),
        ("source.timestamp", b"1700000000000"),
    ]


def test_a_large_value_leaves_head_and_digest() -> None:
    value = b" " * 2_300_000 + b"{}"
    letter = letter_of(b"k", value)
    headers = dict(letter.headers)
    assert (letter.key, letter.value) == (b"k", value[:HEAD_BYTES])
    assert headers["value.truncated"] == b"true"
    assert headers["value.length"] == b"2300002"
    assert headers["value.sha256"] == sha256(value).hexdigest().encode()


def test_a_large_key_leaves_head_and_digest() -> None:
    letter = letter_of(b"k" * 2_000_000, None)
    headers = dict(letter.headers)
    assert (letter.key, letter.value) == (b"k" * HEAD_BYTES, None)
    assert (headers["key.truncated"], headers["key.length"]) == (b"true", b"2000000")
    assert "value.truncated" not in headers


@pytest.mark.parametrize("style", ["ours", "connect", "spring"])
def test_the_largest_untouched_fits_kafkas_default(style: HeaderStyle) -> None:
    letter = letter_of(b"k" * KEY_BYTES_MAX, b"v" * VALUE_BYTES_MAX, message="\U0001f600" * 5_000, style=style)
    assert "value.truncated" not in dict(letter.headers)
    assert dict(letter.headers)["source.headers.dropped"] == b"1"
    assert size_of(letter) + 1_000 < KAFKA_DEFAULT_BYTES_MAX
