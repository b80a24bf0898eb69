import json
from datetime import UTC, datetime
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any

import msgspec
import pytest
from confluent_kafka.schema_registry import Schema
from fastavro import parse_schema, schemaless_writer

from stream_scorer.adapters.schema_registry.avro import FramedAvro
from stream_scorer.adapters.schema_registry.framed import FramedForm
from stream_scorer.adapters.schema_registry.framed_json import FramedJson
from stream_scorer.adapters.schema_registry.opening import framed_form
from stream_scorer.adapters.schema_registry.protobuf import FramedProtobuf
from stream_scorer.adapters.schema_registry.schemas import SchemaRegistry
from stream_scorer.core.forms.avro_schemas import avro_schema
from stream_scorer.core.forms.frames import SCHEMA_HEADER
from stream_scorer.core.messages import Acceptance, CustomerRequest, Ranking
from stream_scorer.core.records import OutputRecord, Record
from stream_scorer.core.wire.codec import decode_all
from stream_scorer.errors import NotReady, UsageError

REQUEST: dict[str, Any] = {
    "request_id": "r",
    "customer_id": "cé",
    "event_time_ms": 1_763_000_000_007,
    "features": {
        "n": 1.5, "t": "x", "b": True, "none": None, "bag": ["a", "b"], "empty": [], "v": [1.0, 0.0], "texts": "kept",
    },
    "offers": None,
    "exclude": ["o1"],
    "filters": [{"attribute": "a", "op": "in", "value": ["x"]}, {"attribute": "a", "op": "<", "value": 2.0}],
    "limit": 7,
}  # fmt: skip
VALUE = msgspec.json.encode(REQUEST)
ACCEPTANCE: dict[str, Any] = {
    "acceptance_id": "a",
    "request_id": "r",
    "customer_id": "c",
    "offer_id": "o",
    "accepted": False,
    "event_time_ms": 5,
    "request_time_ms": None,
}
RANKING = (
    b'{"request_id":"r","customer_id":"c","event_time_ms":5,"release_id":"m","status":"ranked","eligible_count":1,'
    b'"excluded":{"inactive":2},"features":{"price":0.1,"e":[]},"offers":[{"offer_id":"o","rank":1,'
    b'"score":0.3333333333333333,"propensity":1.0,"features":{"v":[1.0,2.0],"s":null}}]}'
)


@pytest.fixture
def registry() -> SchemaRegistry:
    return SchemaRegistry("mock://", {}, wait_s=0.1, register=True)


@pytest.fixture(params=[FramedAvro, FramedJson, FramedProtobuf])
def form(request: pytest.FixtureRequest, registry: SchemaRegistry) -> FramedForm:
    made: FramedForm = request.param(registry, CustomerRequest, place="value", names="topic")
    return made


def record(value: bytes, *headers: tuple[str, bytes]) -> Record:
    return Record("requests", 0, 3, b"k", value, 9, headers)


def framed(form: FramedForm) -> bytes:
    return form.write(OutputRecord("requests", b"k", VALUE)).value or b""


def in_avro(registry: SchemaRegistry, schema: dict[str, Any], value: object) -> bytes:
    number = registry.client.register_schema("s", Schema(json.dumps(schema), "AVRO"))
    body = BytesIO()
    schemaless_writer(body, parse_schema(schema), value)
    return b"\0" + number.to_bytes(4, "big") + body.getvalue()


def test_what_is_written_reads_back(form: FramedForm) -> None:
    read = form.read(record(framed(form)))
    assert (read.code, json.loads(read.value or b"")) == ("", REQUEST)
    assert decode_all([read], CustomerRequest).dead_letters == []


def test_offers_that_state_features_read_back(form: FramedForm) -> None:
    offers = [{"offer_id": "o1", "features": REQUEST["features"]}, {"offer_id": "o2", "features": {}}]
    stating = msgspec.json.encode({**REQUEST, "offers": offers})
    read = form.read(record(form.write(OutputRecord("requests", b"k", stating)).value or b""))
    read_plainly = decode_all([record(stating)], CustomerRequest).messages
    assert decode_all([read], CustomerRequest).messages == read_plainly


@pytest.mark.parametrize("kind", [FramedAvro, FramedJson])
def test_the_schema_may_be_in_a_header(kind: type[Any], registry: SchemaRegistry) -> None:
    form = kind(registry, CustomerRequest, place="header", names="record")
    written = form.write(OutputRecord("requests", b"k", VALUE, [("traceparent", b"1")]))
    assert [name for name, _ in written.headers] == ["traceparent", "__value_schema_id"]
    assert json.loads(form.read(record(written.value, *written.headers)).value) == REQUEST


def test_a_ranking_keeps_its_very_bytes(registry: SchemaRegistry) -> None:
    form = FramedAvro(registry, Ranking, place="value", names="topic")
    one, other = (form.write(OutputRecord("rankings", b"k", RANKING)) for _ in range(2))
    assert one == other
    assert form.read(record(one.value or b"")).value == RANKING


def test_what_is_not_framed_is_refused(form: FramedForm) -> None:
    good, cut = framed(form), "frame_truncated"
    bad = {VALUE: "not_framed", b"\0\0": cut, b"\1" + b"g" * 9: cut, b"\0\0\0\xff\xff" + good[5:]: "unknown_schema"}
    for value, code in bad.items():
        read = form.read(record(value))
        assert (read.code, read.sent.value) == (code, value)


def test_a_schema_of_another_kind_is_refused(registry: SchemaRegistry) -> None:
    written = framed(FramedJson(registry, CustomerRequest, place="value", names="topic"))
    read = FramedAvro(registry, CustomerRequest, place="value", names="topic").read(record(written))
    assert (read.code, read.reason) == ("schema_kind", "the record's schema must be AVRO, and is JSON")


def test_bytes_that_do_not_fit_are_refused(registry: SchemaRegistry) -> None:
    form = FramedAvro(registry, CustomerRequest, place="value", names="topic")
    good = framed(form)
    for bad in (good[:-3], good[:5], good + b"z", good[:5] + b"\xff" * 40):
        assert form.read(record(bad)).code == "schema_misfit"


def test_a_renamed_field_is_missing(registry: SchemaRegistry) -> None:
    schema = {"type": "record", "name": "R", "fields": [{"name": "requestId", "type": "string"}]}
    form = FramedAvro(registry, CustomerRequest, place="value", names="topic")
    read = form.read(record(in_avro(registry, schema, {"requestId": "r"})))
    (letter,) = decode_all([read], CustomerRequest).dead_letters
    assert letter.code == "missing_field"


def test_richer_types_become_those_of_json(registry: SchemaRegistry) -> None:
    time, price = {"type": "long", "logicalType": "timestamp-millis"}, {"type": "bytes", "logicalType": "decimal"}
    fields = {
        "request_id": "string", "customer_id": {"type": "string", "logicalType": "uuid"}, "event_time_ms": time,
        "features": {"type": "record", "name": "F", "fields": [
            {"name": "price", "type": {**price, "precision": 6, "scale": 2}}, {"name": "age", "type": "int"},
        ]},
    }  # fmt: skip
    schema = {"type": "record", "name": "R", "fields": [{"name": one, "type": kind} for one, kind in fields.items()]}
    customer = "0af76519-16cd-43dd-8448-eb211c80319c"
    value = {
        "request_id": "r", "customer_id": customer, "event_time_ms": datetime(2025, 1, 1, tzinfo=UTC),
        "features": {"price": Decimal("9.99"), "age": 33},
    }  # fmt: skip
    form = FramedAvro(registry, CustomerRequest, place="value", names="topic")
    (message,) = decode_all([form.read(record(in_avro(registry, schema, value)))], CustomerRequest).messages
    assert message.customer_id == customer
    assert (message.event_time_ms, message.features) == (1_735_689_600_000, {"price": 9.99, "age": 33.0})


def test_bytes_among_the_fields_are_refused(registry: SchemaRegistry) -> None:
    schema = {"type": "record", "name": "R", "fields": [{"name": "request_id", "type": "bytes"}]}
    form = FramedAvro(registry, CustomerRequest, place="value", names="topic")
    assert form.read(record(in_avro(registry, schema, {"request_id": b"r"}))).code == "schema_misfit"


def test_infinity_is_not_taken_for_null(registry: SchemaRegistry) -> None:
    schema = {"type": "record", "name": "R", "fields": [{"name": "limit", "type": "double"}]}
    form = FramedAvro(registry, CustomerRequest, place="value", names="topic")
    assert form.read(record(in_avro(registry, schema, {"limit": float("inf")}))).code == "nan_or_infinity"


def test_a_subject_without_our_schema_says_so() -> None:
    strict = SchemaRegistry("mock://", {}, wait_s=0.1, register=False)
    form = FramedAvro(strict, Ranking, place="value", names="topic")
    with pytest.raises(UsageError, match=r"rankings-value.*wire\.register_schemas"):
        form.write(OutputRecord("rankings", b"k", RANKING))


def test_a_registry_away_ends_the_job() -> None:
    away = SchemaRegistry("http://127.0.0.1:9", {}, wait_s=0.1, register=False)
    form = FramedAvro(away, CustomerRequest, place="value", names="topic")
    with pytest.raises(NotReady, match=r"did not answer for 0.1 s"):
        form.read(record(b"\0\0\0\0\1abc"))


def in_schema(registry: SchemaRegistry, fields: list[Any], data: bytes) -> str:
    """Return the code of data whose schema has these fields."""
    schema = Schema(json.dumps({"type": "record", "name": "R", "fields": fields}), "AVRO")
    number = registry.client.register_schema("s", schema)
    form = FramedAvro(registry, CustomerRequest, place="value", names="topic")
    read = form.read(record(b"\0" + number.to_bytes(4, "big") + data))
    return read.code


def test_types_within_themselves_are_refused(registry: SchemaRegistry) -> None:
    assert in_schema(registry, [{"name": "next", "type": ["null", "R"]}], b"\2" * 900_000) == "schema_misfit"


def test_lists_of_nothing_are_refused(registry: SchemaRegistry) -> None:
    endless = {"type": "array", "items": "null"}
    assert in_schema(registry, [{"name": "x", "type": endless}], b"\xfe" + b"\xff" * 8 + b"\x7f") == "schema_misfit"


@pytest.mark.parametrize("fields", [["x"], [{"name": "x"}], 5, [{"name": "x", "type": {"type": "enum"}}]])
def test_broken_schemas_are_refused(registry: SchemaRegistry, fields: Any) -> None:
    assert in_schema(registry, fields, b"") == "schema_misfit"


def test_a_header_has_the_guid(registry: SchemaRegistry) -> None:
    form = FramedAvro(registry, CustomerRequest, place="header", names="record")
    written = form.write(OutputRecord("requests", b"k", VALUE, [(SCHEMA_HEADER, b"another's")]))
    ((name, schema),) = written.headers
    assert (name, schema[:1], len(schema)) == (SCHEMA_HEADER, b"\1", 17)


def test_an_added_field_is_passed_over(registry: SchemaRegistry) -> None:
    ours = avro_schema(Acceptance)
    added = {"name": "channel", "type": ["null", "bytes"], "default": None}
    value = {**ACCEPTANCE, "channel": b"app"}
    form = FramedAvro(registry, Acceptance, place="value", names="topic")
    read = form.read(record(in_avro(registry, {**ours, "fields": [added, *ours["fields"]]}, value)))
    (message,) = decode_all([read], Acceptance).messages
    assert message == Acceptance(**ACCEPTANCE)


def test_an_acceptance_is_no_request(registry: SchemaRegistry) -> None:
    form = FramedAvro(registry, Acceptance, place="value", names="topic")
    sent = form.write(OutputRecord("acceptances", b"k", msgspec.json.encode(ACCEPTANCE)))
    requests = FramedAvro(registry, CustomerRequest, place="value", names="topic")
    (letter,) = decode_all([requests.read(record(sent.value or b""))], CustomerRequest).dead_letters
    assert letter.code == "missing_field"


@pytest.mark.parametrize(
    ("name", "kind", "ending"),
    [("avro", "AVRO", "avsc"), ("json_schema", "JSON", "json"), ("protobuf", "PROTOBUF", "proto")],
)
def test_the_registered_file_is_ours(registry: SchemaRegistry, name: str, kind: str, ending: str) -> None:
    text = (Path(__file__).parents[4] / "schemas" / f"ranking.{ending}").read_text()
    registry.client.register_schema("of-files-value", Schema(text, kind))
    registry.register = False
    form = framed_form(name, registry, Ranking, place="value", names="topic")
    assert (form.write(OutputRecord("of-files", b"k", RANKING)).value or b"")[:1] == b"\0"
