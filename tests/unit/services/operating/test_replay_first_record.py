"""What is wrong with the first record is said before any is sent."""

from collections.abc import Iterator

import pytest

from stream_scorer.core.messages import Acceptance, CustomerRequest, Offer
from stream_scorer.core.wire.codec import encode
from stream_scorer.errors import UsageError
from stream_scorer.ports import Event
from stream_scorer.services.operating.replay import Kind, fault_of, with_first_checked

NOW_MS = 1_800_000_000_000
REQUEST = CustomerRequest("r1", "c", NOW_MS, {"age": 3.0})
ANSWER = Acceptance("a1", "r1", "c", "o1", True, NOW_MS)


@pytest.mark.parametrize(
    ("value", "kind", "fault"),
    [
        (encode(REQUEST), CustomerRequest, None),
        (encode(ANSWER), Acceptance, None),
        (encode(Offer("o1", {})), Offer, None),
        (b'{"offer_id":"o1","features":{}}', CustomerRequest, "request_id, customer_id, event_time_ms are missing"),
        (b'{"request_id":"r1","customer_id":"c","event_time_ms":1}', CustomerRequest, "features is missing"),
        (encode(REQUEST).replace(b"1800000000000", b"1800000000"), CustomerRequest, "milliseconds?"),
        (encode(ANSWER).replace(b"1800000000000", b"1800000000"), Acceptance, "event_time_ms is 1800000000"),
        (b'{"offer_id":"o1","features":{},"valid_until_ms":1900000000}', Offer, "valid_until_ms is 1900000000"),
        (encode(REQUEST).replace(b"1800000000000", b"12"), CustomerRequest, None),
        (encode(REQUEST).replace(b"1800000000000", b"-1"), CustomerRequest, "number_out_of_range"),
        (b"{", CustomerRequest, "not_json"),
        (b"[" * 5_000, CustomerRequest, "too_deep"),
    ],
)
def test_what_the_record_lacks_is_named(value: bytes, kind: Kind, fault: str | None) -> None:
    found = fault_of(value, kind)
    assert (found is None) if fault is None else (found is not None and fault in found)


def test_a_right_file_is_sent_whole() -> None:
    events = [Event(None, encode(REQUEST)), Event(None, b"{")]
    assert list(with_first_checked(events, CustomerRequest, "t")) == events
    assert list(with_first_checked([], CustomerRequest, "t")) == []


def test_a_wrong_first_record_ends_it() -> None:
    def events() -> Iterator[Event]:
        yield Event(None, b'{"offer_id":"o1"}')
        raise AssertionError

    with pytest.raises(
        UsageError, match=r"nothing was sent: the first record is no CustomerRequest for t: .* missing; --anyway"
    ):
        with_first_checked(events(), CustomerRequest, "t")
