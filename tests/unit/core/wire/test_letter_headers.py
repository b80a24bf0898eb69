"""Headers of dead letters, for our own tools and for those of others."""

from stream_scorer.core.records import DeadLetter, Record
from stream_scorer.core.wire.dead_letters import dead_letter_record
from stream_scorer.core.wire.letter_headers import CARRIED_BYTES_MAX, HeaderStyle, carried, passed_headers

RECORD = Record("acceptances", 3, 99, b"k", b"v", 1_700_000_000_000, [("traceparent", b"00-1")])
LETTER = DeadLetter(RECORD, "not_utf8", "the value is not UTF-8 at byte 0")


def added(style: HeaderStyle) -> dict[str, bytes]:
    ours = dict(dead_letter_record(LETTER, "dead-letters").headers)
    headers = dict(dead_letter_record(LETTER, "dead-letters", style).headers)
    assert ours.items() <= headers.items()
    return {name: value for name, value in headers.items() if name not in ours}


def test_headers_of_the_record_go_on() -> None:
    assert dict(dead_letter_record(LETTER, "dead-letters").headers)["traceparent"] == b"00-1"


def test_connect_writes_text_throughout() -> None:
    assert added("connect") == {
        "__connect.errors.topic": b"acceptances",
        "__connect.errors.partition": b"3",
        "__connect.errors.offset": b"99",
        "__connect.errors.connector.name": b"stream-scorer",
        "__connect.errors.task.id": b"0",
        "__connect.errors.stage": b"TASK_PUT",
        "__connect.errors.class.name": b"stream_scorer",
        "__connect.errors.exception.class.name": b"stream_scorer.not_utf8",
        "__connect.errors.exception.message": b"the value is not UTF-8 at byte 0",
    }


def test_spring_writes_numbers_as_java_does() -> None:
    assert added("spring") == {
        "kafka_dlt-exception-fqcn": b"stream_scorer.not_utf8",
        "kafka_dlt-exception-message": b"the value is not UTF-8 at byte 0",
        "kafka_dlt-original-topic": b"acceptances",
        "kafka_dlt-original-partition": b"\0\0\0\3",
        "kafka_dlt-original-offset": b"\0\0\0\0\0\0\0\x63",
        "kafka_dlt-original-timestamp": (1_700_000_000_000).to_bytes(8, "big"),
    }


def test_a_record_cannot_forge_a_reason() -> None:
    forged = [("error.code", b"x"), ("value.truncated", b"true"), ("__connect.errors.topic", b"x"), ("own", b"")]
    assert carried(forged) == ([("own", b"")], 0)


def test_the_attempt_goes_before_all_others() -> None:
    large = ("large", b"x" * (CARRIED_BYTES_MAX - len("large")))
    assert carried([large]) == ([large], 0)
    assert carried([large, ("resend.attempt", b"2")]) == ([("resend.attempt", b"2")], 1)


def test_a_large_header_leaves_out_no_other() -> None:
    trace, state = ("traceparent", b"00-1"), ("tracestate", b"x" * CARRIED_BYTES_MAX)
    assert passed_headers([state, trace, ("other", b"")], {"traceparent", "tracestate"}) == (trace,)
