"""Topics framed for a Schema Registry, on a real one: Apicurio's, by its API of Confluent's kind."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient

from stream_scorer.adapters.kafka.feed import KafkaFeed
from stream_scorer.core.records import OutputRecord, Record
from stream_scorer.errors import UsageError
from stream_scorer.settings import LocalSettings, Settings
from stream_scorer.wiring.brokers import topic_forms
from stream_scorer.wiring.examining import form_findings
from tests.registry_server import LocalRegistry
from tests.release_samples import model, offer
from tests.ring import Ring, acceptance, request, values

SCHEMAS = Path(__file__).parents[2] / "schemas"
FORMS = {"requests": "avro", "acceptances": "json_schema", "rankings": "protobuf", "labels": "avro"}


@pytest.fixture(scope="module")
def registry() -> Iterator[LocalRegistry]:
    with LocalRegistry(cache=LocalSettings().cache) as server:
        yield server


def feed(ring: Ring, topic: str, events: list[dict[str, object]], *, formed: bool = True) -> None:
    forms = topic_forms(ring.settings()) if formed else None
    sending = KafkaFeed({"bootstrap.servers": ring.kafka}, topic, forms=forms)
    sending.send([OutputRecord(topic, b"k", msgspec.json.encode(each)) for each in events])
    sending.flush()
    assert not sending.failures()


def as_json(ring: Ring, topic: str) -> list[Record]:
    forms = topic_forms(ring.settings())
    assert forms is not None
    return forms.read(ring.read(topic))


def test_framed_topics_go_round(ring: Ring, registry: LocalRegistry, tmp_path: Path) -> None:
    ring.options |= {f"STREAM_SCORER_WIRE__{topic.upper()}": form for topic, form in FORMS.items()}
    ring.options |= {
        "STREAM_SCORER_WIRE__REGISTRY_URL": registry.url,
        "STREAM_SCORER_WIRE__REGISTER_SCHEMAS": "true",
        "STREAM_SCORER_WIRE__REGISTRY_WAIT_S": "120",
    }
    ring.publish(model(1), [offer(number) for number in range(9)])
    feed(ring, ring.topics.requests, [request(number, limit=9) for number in range(9)])
    feed(ring, ring.topics.requests, [request(99)], formed=False)
    feed(ring, ring.topics.acceptances, [acceptance(number, f"offer-{number}") for number in range(9)])
    for job in ("rank", "join"):
        ring.run(job, "--until-idle", "0.5", log=tmp_path / f"{job}.log")
    assert {(each.value or b"")[:1] for each in ring.read(ring.topics.rankings)} == {b"\0"}
    (letter,) = ring.read(ring.topics.dead_letters)
    assert dict(letter.headers)["error.code"] == b"not_framed"
    labels = values(as_json(ring, ring.topics.labels))
    assert sum(offer["accepted"] or 0 for each in labels for offer in each["offers"]) == 9


def settings(registry: LocalRegistry, form: str, *, topic: str | None = None, **wire: object) -> Settings:
    forms = dict.fromkeys(("requests", "rankings"), form)
    names = {"requests": topic or f"requests-{form}", "rankings": f"rankings-{form}"}
    given = {**forms, "registry_url": registry.url, "registry_wait_s": 120, **wire}
    return Settings.model_validate({"topics": names, "wire": given})


@pytest.mark.parametrize("form", ["avro", "json_schema", "protobuf"])
def test_a_registry_answers_what_we_ask(registry: LocalRegistry, form: str) -> None:
    strict = topic_forms(settings(registry, form))
    free = topic_forms(settings(registry, form, register_schemas=True))
    assert strict is not None
    assert free is not None
    output = OutputRecord(f"requests-{form}", b"k", msgspec.json.encode(request(1)))
    with pytest.raises(UsageError, match=r"has no subject .*wire\.register_schemas"):
        strict.write([output])
    (written,) = free.write([output])
    assert strict.write([output]) == [written]
    assert {each.state for each in form_findings(settings(registry, form), wait_s=120)} == {"ok", "fault"}
    value = written.value or b""
    frames = {value: "", b"\0\0\0\0\0" + value[5:]: "unknown_schema", b"\0\0\0\xff\xff" + value[5:]: "unknown_schema"}
    for frame, code in {**frames, b"\1" + b"g" * 16 + value[5:]: "unknown_schema"}.items():
        (read,) = strict.read([Record(output.topic, 0, 0, b"k", frame, 0)])
        assert getattr(read, "code", None) == code


@pytest.mark.parametrize(
    ("form", "kind", "file"),
    [("avro", "AVRO", "avsc"), ("json_schema", "JSON", "json"), ("protobuf", "PROTOBUF", "proto")],
)
def test_our_files_can_be_registered(registry: LocalRegistry, form: str, kind: str, file: str) -> None:
    text = (SCHEMAS / f"customer-request.{file}").read_text()
    with SchemaRegistryClient.new_client({"url": registry.url}) as client:
        client.register_schema(f"files-{form}-value", Schema(text, kind))
    forms = topic_forms(settings(registry, form, topic=f"files-{form}"))
    assert forms is not None
    value = msgspec.json.encode(request(1))
    (written,) = forms.write([OutputRecord(f"files-{form}", b"k", value)])
    (read,) = forms.read([Record(written.topic, 0, 0, b"k", written.value, 0)])
    assert msgspec.json.decode(read.value or b"") == {**msgspec.json.decode(read.value or b""), **request(1)}


def test_another_server_is_no_registry(registry: LocalRegistry) -> None:
    wrong = registry.url.removesuffix("/ccompat/v7") + "/none"
    forms = topic_forms(settings(registry, "avro", registry_url=wrong))
    assert forms is not None
    with pytest.raises(UsageError, match=r"wire\.registry_url must be the place"):
        forms.read([Record("requests-avro", 0, 0, b"k", b"\0\0\0\0\1abc", 0)])
