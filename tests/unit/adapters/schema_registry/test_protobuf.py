import json
import math
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.schema_registry import Schema
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.message_factory import GetMessageClass

from stream_scorer.adapters.schema_registry.descriptors import as_text, file_of, message_in
from stream_scorer.adapters.schema_registry.opening import framed_form
from stream_scorer.adapters.schema_registry.protobuf import FramedProtobuf
from stream_scorer.adapters.schema_registry.schemas import SchemaRegistry
from stream_scorer.core.forms.frames import SCHEMA_HEADER
from stream_scorer.core.forms.protobuf_schemas import proto_text
from stream_scorer.core.messages import Acceptance, CustomerRequest, Offer, Ranking
from stream_scorer.core.records import FormedRecord, OutputRecord, Record
from stream_scorer.core.wire.codec import decode_all
from stream_scorer.core.wire.strict_json import Refusal
from stream_scorer.schemas import MESSAGES

FORMED = ("customer-request", "acceptance", "offer", "ranking", "labelled-ranking")
FOLDER = Path(__file__).parents[4] / "schemas" / "examples"
EXAMPLES = sorted(each for name in FORMED for each in (FOLDER / name).glob("*.json"))
TEXT, INT64 = FieldDescriptorProto.TYPE_STRING, FieldDescriptorProto.TYPE_INT64
ACCEPTANCE = {
    "acceptance_id": "a", "request_id": "r", "customer_id": "c", "offer_id": "o", "accepted": False, "event_time_ms": 7,
}  # fmt: skip
RANKING = (
    b'{"request_id":"r","customer_id":"c","event_time_ms":0,"release_id":"m","status":"ranked","eligible_count":0,'
    b'"excluded":{},"features":{"e":[],"price":0.1},"offers":[{"offer_id":"o","rank":1,"score":0.3333333333333333,'
    b'"propensity":1.0,"features":{"s":null,"v":[1.0,-0.0]},"tower_rank":2,"reranker_score":-0.0}]}'
)


@pytest.fixture
def registry() -> SchemaRegistry:
    return SchemaRegistry("mock://", {}, wait_s=0.1, register=True)


def of(registry: SchemaRegistry, message: type[Any], **changes: Any) -> FramedProtobuf:
    return FramedProtobuf(registry, message, **{"place": "value", "names": "topic", **changes})


def record(value: bytes | None, *headers: tuple[str, bytes]) -> Record:
    return Record("topic", 0, 3, b"k", value, 9, headers)


def read(registry: SchemaRegistry, message: type[Any], file: FileDescriptorProto, **values: Any) -> FormedRecord:
    """Write these values by another program's file, whose first message it is, and read them."""
    number = registry.client.register_schema("theirs", Schema(as_text(file), "PROTOBUF"))
    descriptor = message_in(file, [0])
    assert not isinstance(descriptor, Refusal)
    body = GetMessageClass(descriptor)(**values).SerializeToString()
    return of(registry, message).read(record(b"\0" + number.to_bytes(4, "big") + b"\0" + body))


def plain(**kinds: int) -> FileDescriptorProto:
    """Return a file as most write them by hand: no field says whether it is set."""
    file = FileDescriptorProto(name="theirs.proto", package="shop", syntax="proto3")
    message = file.message_type.add(name="Event")
    for number, (name, kind) in enumerate(kinds.items(), 1):
        message.field.add(name=name, number=number, type=kind, label=FieldDescriptorProto.LABEL_OPTIONAL)
    return file


@pytest.mark.parametrize("kind", ["avro", "json_schema", "protobuf"])
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda each: each.stem)
def test_every_example_means_the_same(registry: SchemaRegistry, kind: str, example: Path) -> None:
    message = MESSAGES[example.parent.name]
    form = framed_form(kind, registry, message, place="value", names="topic")
    value = example.read_bytes()
    written = form.write(OutputRecord("topic", b"k", value))
    assert written == form.write(OutputRecord("topic", b"k", value))
    (expected,) = decode_all([record(value)], message).messages
    (found,) = decode_all([form.read(record(written.value))], message).messages
    assert found == expected


@pytest.mark.parametrize("place", ["value", "header"])
def test_a_ranking_keeps_its_very_bytes(registry: SchemaRegistry, place: str) -> None:
    form = of(registry, Ranking, place=place)
    written = form.write(OutputRecord("topic", b"k", RANKING))
    assert form.read(record(written.value, *written.headers)).value == RANKING


def test_the_header_says_which_message(registry: SchemaRegistry) -> None:
    written = of(registry, Ranking, place="header").write(OutputRecord("topic", b"k", RANKING))
    ((name, frame),) = written.headers
    assert (name, frame[:1], frame[17:]) == (SCHEMA_HEADER, b"\1", b"\0")
    cut = of(registry, Ranking).read(record(written.value, (name, frame[:17])))
    assert cut.code == "frame_truncated"


def test_other_numbers_are_their_writers(registry: SchemaRegistry) -> None:
    file = file_of(Acceptance)
    message = file.message_type[0]
    message.field.add(name="channel", number=3, type=FieldDescriptorProto.TYPE_BYTES, label=1)
    for field, number in zip(message.field, (9, 8, 11, 6, 5, 4, 2, 3), strict=True):
        field.number = number
    (message_read,) = decode_all([read(registry, Acceptance, file, channel=b"app", **ACCEPTANCE)], Acceptance).messages
    assert message_read == Acceptance(**ACCEPTANCE)  # type: ignore[arg-type]


def test_a_renamed_field_is_missing(registry: SchemaRegistry) -> None:
    file = file_of(Acceptance)
    file.message_type[0].field[3].name = "offer"
    values = {"offer" if name == "offer_id" else name: value for name, value in ACCEPTANCE.items()}
    (letter,) = decode_all([read(registry, Acceptance, file, **values)], Acceptance).dead_letters
    assert letter.code == "missing_field"


def test_fields_that_cannot_be_unset_count(registry: SchemaRegistry) -> None:
    kinds = dict.fromkeys(ACCEPTANCE, TEXT) | {"accepted": FieldDescriptorProto.TYPE_BOOL, "event_time_ms": INT64}
    (message,) = decode_all([read(registry, Acceptance, plain(**kinds), **ACCEPTANCE)], Acceptance).messages
    assert message == Acceptance(**ACCEPTANCE)  # type: ignore[arg-type]


def test_a_time_perhaps_unset_is_refused(registry: SchemaRegistry) -> None:
    file = plain(request_id=TEXT, event_time_ms=INT64)
    letter = read(registry, CustomerRequest, file, request_id="r")
    assert (letter.code, "make it optional" in letter.reason) == ("schema_misfit", True)


def test_offers_perhaps_unset_are_refused(registry: SchemaRegistry) -> None:
    file = plain(request_id=TEXT, offers=TEXT)
    file.message_type[0].field[1].label = FieldDescriptorProto.LABEL_REPEATED
    assert json.loads(read(registry, CustomerRequest, file, offers=["o"]).value or b"")["offers"] == ["o"]
    assert read(registry, CustomerRequest, file).code == "schema_misfit"


def test_known_types_become_those_of_json(registry: SchemaRegistry) -> None:
    file = plain(offer_id=TEXT, features=TEXT, valid_from_ms=TEXT)
    file.dependency.extend(["google/protobuf/struct.proto", "google/protobuf/timestamp.proto"])
    for field, kind in zip(file.message_type[0].field[1:], ("Struct", "Timestamp"), strict=True):
        field.type, field.type_name = FieldDescriptorProto.TYPE_MESSAGE, f".google.protobuf.{kind}"
    features = {"price": 2.5, "none": None, "bag": ["a"], "on": True}
    time = {"seconds": 1_735_689_600, "nanos": 7_999_999}
    (offer,) = decode_all(
        [read(registry, Offer, file, offer_id="o", features=features, valid_from_ms=time)], Offer
    ).messages
    assert offer == Offer("o", features, valid_from_ms=1_735_689_600_007)  # type: ignore[arg-type]


def test_another_message_of_the_file_is_read(registry: SchemaRegistry) -> None:
    form = of(registry, Acceptance)
    file = file_of(Acceptance)
    file.message_type.insert(0, type(file.message_type[0])(name="Other"))
    number = registry.client.register_schema("two", Schema(as_text(file), "PROTOBUF")).to_bytes(4, "big")
    body = form.write(OutputRecord("topic", b"k", json.dumps(ACCEPTANCE).encode())).value or b""
    second, none = (form.read(record(b"\0" + number + index + body[6:])) for index in (b"\2\2", b"\2\x08"))
    assert decode_all([second], Acceptance).dead_letters == []
    assert none.code == "schema_misfit"


def test_what_the_schema_lacks_is_refused(registry: SchemaRegistry) -> None:
    form = of(registry, Acceptance)
    good = form.write(OutputRecord("topic", b"k", json.dumps(ACCEPTANCE).encode())).value or b""
    for bad in (good + b"\xa2\x06\1x", good[:-1], good[:6] + b"\xff" * 9):
        assert form.read(record(bad)).code == "schema_misfit"
    assert form.read(record(good[:5])).code == "frame_truncated"
    (letter,) = decode_all([form.read(record(good[:6]))], Acceptance).dead_letters
    assert letter.code == "missing_field"


def test_our_text_is_read_and_others_refused(registry: SchemaRegistry) -> None:
    ours, other = proto_text(Acceptance), proto_text(Acceptance).replace("offer_id = 4", "offer_id = 9")
    ids = [registry.client.register_schema("text", Schema(text, "PROTOBUF")) for text in ("// ours\n" + ours, other)]
    form = of(registry, Acceptance)
    body = (form.write(OutputRecord("topic", b"k", json.dumps(ACCEPTANCE).encode())).value or b"")[5:]
    first, second = (form.read(record(b"\0" + number.to_bytes(4, "big") + body)) for number in ids)
    assert (first.code, second.code) == ("", "schema_misfit")


def test_a_value_of_no_kind_is_refused(registry: SchemaRegistry) -> None:
    file = file_of(Offer)
    assert read(registry, Offer, file, offer_id="o", features={"x": {}}).code == "schema_misfit"


@pytest.mark.parametrize("features", [{b"a": b"\xff"}, {b"\xff": b"x"}, {b"a": b"x", b"\xff": b"x"}])
def test_texts_that_are_not_utf8_are_refused(registry: SchemaRegistry, features: dict[bytes, bytes]) -> None:
    file = plain(offer_id=TEXT)
    file.syntax = "proto2"  # which lets any bytes be a string
    event = file.message_type[0]
    event.field.add(name="features", number=2, type=11, label=3, type_name=".shop.Event.FeaturesEntry")
    entry = event.nested_type.add(name="FeaturesEntry")
    entry.options.map_entry = True
    for number, name in enumerate(("key", "value"), 1):
        entry.field.add(name=name, number=number, type=TEXT, label=1)
    pairs = (delimited(1, name) + delimited(2, value) for name, value in features.items())
    body = delimited(1, b"o") + b"".join(delimited(2, pair) for pair in pairs)
    number = registry.client.register_schema("theirs", Schema(as_text(file), "PROTOBUF"))
    read = of(registry, Offer).read(record(b"\0" + number.to_bytes(4, "big") + b"\0" + body))
    assert (read.code, "not UTF-8" in read.reason) == ("schema_misfit", True)


def delimited(number: int, data: bytes) -> bytes:
    return bytes([number << 3 | 2, len(data)]) + data


def test_an_index_without_an_end_costs_little(registry: SchemaRegistry) -> None:
    form = of(registry, Acceptance)
    start = (form.write(OutputRecord("topic", b"k", json.dumps(ACCEPTANCE).encode())).value or b"")[:5]
    assert form.read(record(start + b"\xff" * 8_000_000)).code == "frame_truncated"  # else hours


def test_wrong_places_leave_room_for_right_ones(registry: SchemaRegistry) -> None:
    form = of(registry, Acceptance)
    good = form.write(OutputRecord("topic", b"k", json.dumps(ACCEPTANCE).encode())).value or b""
    for place in range(2, 2 * 120, 2):
        index = b"\2" + (bytes([place]) if place < 128 else bytes([place & 127 | 128, 1]))
        assert form.read(record(good[:5] + index)).code == "schema_misfit"
    assert form.read(record(good)).code == ""


@pytest.mark.parametrize("value", [{"number": math.nan}, {"numbers": {"values": [1.0, math.inf]}}])
def test_nan_and_infinity_are_refused(registry: SchemaRegistry, value: dict[str, Any]) -> None:
    assert read(registry, Offer, file_of(Offer), offer_id="o", features={"x": value}).code == "nan_or_infinity"


def test_unknown_numbers_of_enums_are_refused(registry: SchemaRegistry) -> None:
    letter = read(registry, Offer, file_of(Offer), offer_id="o", features={"x": {"null": 7}})
    assert (letter.code, "does not name" in letter.reason) == ("schema_misfit", True)


def test_offers_of_both_kinds_are_refused(registry: SchemaRegistry) -> None:
    both = {"ids": ["o"], "offers": [{"offer_id": "p"}]}
    assert read(registry, CustomerRequest, file_of(CustomerRequest), offers=both).code == "schema_misfit"
