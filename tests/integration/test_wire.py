"""Topics in other forms than plain JSON, on the real ring: in, out, back into the join, refused, and judged."""

from pathlib import Path

import msgspec

from stream_scorer.adapters.kafka.feed import KafkaFeed
from stream_scorer.core.records import OutputRecord, Record
from stream_scorer.wiring.brokers import topic_forms
from tests.release_samples import model, offer
from tests.ring import Ring, acceptance, request, values

TRACE = ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
EVENTS = {
    "STREAM_SCORER_WIRE__REQUESTS": "cloudevents_binary",
    "STREAM_SCORER_WIRE__ACCEPTANCES": "cloudevents_structured",
    "STREAM_SCORER_WIRE__RANKINGS": "cloudevents_structured",
    "STREAM_SCORER_WIRE__LABELS": "cloudevents_binary",
}


def feed(ring: Ring, topic: str, events: list[dict[str, object]], *, formed: bool = True) -> None:
    sending = KafkaFeed(
        {"bootstrap.servers": ring.kafka}, topic, forms=topic_forms(ring.settings()) if formed else None
    )
    sending.send([OutputRecord(topic, b"k", msgspec.json.encode(each), [TRACE]) for each in events])
    sending.flush()
    assert not sending.failures()


def headers(record: Record) -> dict[str, bytes]:
    return dict(record.headers)


def run_ring(ring: Ring, logs: Path) -> None:
    for job in ("rank", "join", "buffer"):
        ring.run(job, "--until-idle", "1", log=logs / f"{job}.log")


def test_events_go_round_and_misfits_are_refused(ring: Ring, tmp_path: Path) -> None:
    ring.publish(model(1), [offer(number) for number in range(9)])
    ring.options |= {**EVENTS, "STREAM_SCORER_BUFFER__FOLDER": str(tmp_path / "labels")}
    feed(ring, ring.topics.requests, [request(number) for number in range(20)])
    feed(ring, ring.topics.requests, [request(99)], formed=False)
    ring.run("rank", "--until-idle", "1", log=tmp_path / "first.log")
    rankings = ring.read(ring.topics.rankings)
    best = {each["data"]["request_id"]: each["data"]["offers"][0]["offer_id"] for each in values(rankings)}
    feed(ring, ring.topics.acceptances, [acceptance(number, best[f"q-{number}"]) for number in range(20)])
    run_ring(ring, tmp_path)
    assert {headers(each)["traceparent"] for each in rankings} == {TRACE[1]}
    (letter,) = ring.read(ring.topics.dead_letters)
    assert headers(letter)["error.code"] == b"not_a_cloudevent"
    assert letter.value == msgspec.json.encode(request(99))
    labels = ring.read(ring.topics.labels)
    assert {(headers(each)["ce_type"], headers(each)["traceparent"]) for each in labels} == {
        (b"stream-scorer.labelled-ranking", TRACE[1])
    }
    assert sum(offer["accepted"] or 0 for each in values(labels) for offer in each["offers"]) == 20
    done = ring.command("verify")
    assert done.returncode == 0, done.stdout
