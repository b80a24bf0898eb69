import json

import pytest

from stream_scorer.core.forms.cloud_events import CloudEvents
from stream_scorer.core.messages import CustomerRequest
from stream_scorer.core.records import OutputRecord, Record
from stream_scorer.core.wire.codec import decode_all
from stream_scorer.errors import UsageError

TYPE = "stream-scorer.customer-request"
BINARY, STRUCTURED = (CloudEvents(TYPE, "shop", mode) for mode in ("binary", "structured"))
VALUE = b'{"request_id":"r","customer_id":"c\xc3\xa9","event_time_ms":1763000000007,"features":{"a":1.5}}'
TRACE = ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")


def record(value: bytes, *headers: tuple[str, bytes]) -> Record:
    return Record("requests", 1, 7, b"k", value, 9, headers)


def event(**changes: object) -> Record:
    whole = {"specversion": "1.0", "id": "1", "source": "/x", "type": TYPE, "data": json.loads(VALUE), **changes}
    text = json.dumps({name: each for name, each in whole.items() if each is not None})
    return record(text.encode(), ("content-type", b"application/cloudevents+json; charset=utf-8"))


def binary(**changes: bytes) -> Record:
    whole = {"ce_specversion": b"1.0", "ce_id": b"1", "ce_source": b"/x", "ce_type": TYPE.encode(), **changes}
    return record(VALUE, *((name.replace("__", "-"), each) for name, each in whole.items() if each))


@pytest.mark.parametrize("form", [BINARY, STRUCTURED])
def test_what_is_written_reads_back(form: CloudEvents) -> None:
    written = form.write(OutputRecord("requests", b"k", VALUE, [TRACE], 3))
    assert (written.key, written.partition, written.headers[0]) == (b"k", 3, TRACE)
    read = STRUCTURED.read(record(written.value or b"", *written.headers))
    assert (read.code, read.value) == ("", VALUE)
    (message,) = decode_all([read], CustomerRequest).messages
    assert message.customer_id == "cé"


def test_attributes_follow_from_the_message() -> None:
    headers = dict(BINARY.write(OutputRecord("requests", b"k", VALUE)).headers)
    assert headers == {
        "ce_specversion": b"1.0",
        "ce_id": b"398f728a190b63bd403ddc2180c42510",
        "ce_source": b"shop",
        "ce_type": TYPE.encode(),
        "ce_subject": "cé".encode(),
        "ce_time": b"2025-11-13T02:13:20.007Z",
        "content-type": b"application/json",
    }


def test_a_copy_has_the_same_bytes() -> None:
    one, other = (STRUCTURED.write(OutputRecord("requests", b"k", VALUE)) for _ in range(2))
    assert one == other
    assert json.loads(one.value or b"")["data"] == json.loads(VALUE)


def test_another_event_has_another_id() -> None:
    one, other = (dict(BINARY.write(OutputRecord("t", b"k", value)).headers) for value in (VALUE, b"{}"))
    assert one["ce_id"] != other["ce_id"]
    assert "ce_time" not in other


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (record(VALUE), "not_a_cloudevent"),
        (record(VALUE, ("content-type", b"application/json")), "not_a_cloudevent"),
        (binary(ce_source=b""), "not_a_cloudevent"),
        (binary(ce_specversion=b"0.3"), "cloudevent_version"),
        (binary(ce_type=b"order.paid"), "cloudevent_type"),
        (binary(content__type=b"application/avro"), "cloudevent_data"),
        (record(b"[]", ("content-type", b"application/cloudevents-batch+json")), "cloudevent_data"),
        (event(id=None), "not_a_cloudevent"),
        (event(source=7), "not_a_cloudevent"),
        (event(specversion="1.1"), "cloudevent_version"),
        (event(type="order.paid"), "cloudevent_type"),
        (event(data=None), "cloudevent_data"),
        (event(data=None, data_base64="e30="), "cloudevent_data"),
        (event(data_base64="e30="), "cloudevent_data"),
        (event(datacontenttype="text/xml"), "cloudevent_data"),
        (record(b"{", ("content-type", b"application/cloudevents+json")), "not_json"),
        (record(b'{"data":1,"data":2}', ("content-type", b"application/cloudevents+json")), "duplicate_key"),
    ],
)
def test_another_event_is_refused(bad: Record, code: str) -> None:
    read = STRUCTURED.read(bad)
    assert (read.code, read.sent) == (code, bad)
    assert [letter.code for letter in decode_all([read], CustomerRequest).dead_letters] == [code]


@pytest.mark.parametrize("good", [binary(), binary(content__type=b"Application/JSON"), event(extra="x")])
def test_both_modes_are_read(good: Record) -> None:
    assert json.loads(BINARY.read(good).value or b"") == json.loads(VALUE)


@pytest.mark.parametrize("good", [binary(ce_traceparent=TRACE[1]), event(traceparent=TRACE[1].decode())])
def test_a_trace_attribute_becomes_a_header(good: Record) -> None:
    assert BINARY.read(good).headers[-1] == TRACE


@pytest.mark.parametrize("twice", [("CE_type", b"order.paid"), ("Content-Type", b"text/xml")])
def test_headers_that_disagree_are_refused(twice: tuple[str, bytes]) -> None:
    whole = binary(content__type=b"application/json").headers
    assert STRUCTURED.read(record(VALUE, twice, *whole)).code == "not_a_cloudevent"
    assert STRUCTURED.read(record(VALUE, *whole, *whole, ("own", b"1"), ("own", b"2"))).code == ""


@pytest.mark.parametrize("form", [BINARY, STRUCTURED])
def test_headers_of_another_event_give_way(form: CloudEvents) -> None:
    other = BINARY.write(OutputRecord("requests", b"k", b'{"customer_id":"other"}')).headers
    written = form.write(OutputRecord("requests", b"k", VALUE, [*other, TRACE]))
    assert [name for name, _ in written.headers].count("content-type") == 1
    assert STRUCTURED.read(record(written.value or b"", *written.headers)).value == VALUE


def test_what_is_no_json_cannot_be_written() -> None:
    with pytest.raises(UsageError, match="no JSON of ours"):
        BINARY.write(OutputRecord("requests", b"k", b"\xff"))
