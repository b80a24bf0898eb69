"""Dead letters read back, whoever wrote them."""

import pytest

from stream_scorer.core.records import DeadLetter, Partition, Record
from stream_scorer.core.wire.dead_letters import KEY_BYTES_MAX, dead_letter_record
from stream_scorer.core.wire.letter_headers import Headers
from stream_scorer.core.wire.letter_reading import Letter, read_letter, sent_again

WELL = {
    "error.code": b"not_json",
    "source.topic": b"requests",
    "source.partition": b"1",
    "source.offset": b"7",
    "source.timestamp": b"5",
}


def read(headers: Headers) -> Letter | None:
    return read_letter(Record("dead-letters", 3, 17, b"k", b"v", 9, headers))


def changed(**headers: bytes) -> list[tuple[str, bytes]]:
    return list({**WELL, **{name.replace("_", "."): value for name, value in headers.items()}}.items())


def test_what_is_written_is_read() -> None:
    refused = Record("requests", 1, 7, b"k" * (KEY_BYTES_MAX + 1), b"v", 5, [("large", b"x" * 9_000)])
    written = dead_letter_record(DeadLetter(refused, "not_json", "why"), "dead-letters")
    letter = read(written.headers)
    assert letter is not None
    assert (letter.code, letter.message, letter.source, letter.offset) == (
        "not_json",
        "why",
        Partition("requests", 1),
        7,
    )
    assert (letter.timestamp_ms, letter.attempt, letter.is_shortened, letter.lost_headers) == (5, 1, True, True)


@pytest.mark.parametrize(
    "headers",
    [
        [],
        changed(error_code=b""),
        changed(error_code=b"two\nlines"),
        changed(error_code=b"x" * 250),
        changed(source_topic=b"no topic"),
        changed(source_partition=b"-1"),
        changed(source_offset=b"7.5"),
        changed(source_offset=b"9" * 5_000),
        changed(source_offset="\u0667".encode()),
        changed(source_topic=b"\xff"),
    ],
)
def test_what_names_no_source_is_foreign(headers: Headers) -> None:
    assert read(headers) is None


@pytest.mark.parametrize(("stated", "attempt"), [(b"2", 2), (b"0", None), (b"x", None), (b"9" * 18, None)])
def test_an_attempt_is_a_bounded_number(stated: bytes, attempt: int | None) -> None:
    letter = read(changed(resend_attempt=stated))
    assert letter is not None
    assert letter.attempt == attempt


def test_a_repeated_header_counts_last() -> None:
    letter = read([("error.code", b"forged"), *WELL.items()])
    assert letter is not None
    assert letter.code == "not_json"


def test_sending_again_numbers_the_attempt() -> None:
    letter = read([*changed(resend_attempt=b"2", resend_from=b"dead-letters[0]@1"), ("own", b"x")])
    assert letter is not None
    output = sent_again(letter, "requests", partition=1)
    assert (output.topic, output.key, output.value, output.partition) == ("requests", b"k", b"v", 1)
    assert list(output.headers) == [
        ("own", b"x"),
        ("resend.attempt", b"3"),
        ("resend.from", b"dead-letters[3]@17"),
    ]
