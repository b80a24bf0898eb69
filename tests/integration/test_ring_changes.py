"""What becomes of a ring whose topics or settings are changed between two runs, with requests open."""

import json
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

from stream_scorer.wiring.stores import release_store
from tests.release_samples import model, offer
from tests.ring import START_MS, Ring, acceptance, request, values
from tests.waiting import wait_for

ASKED = 40


@pytest.fixture
def ring(ring: Ring) -> Ring:
    """A ring with requests open."""
    ring.publish(model(1), [offer(number) for number in range(3)])
    ring.send(ring.topics.requests, [request(number) for number in range(ASKED)])
    return ring


def refusal(ring: Ring, *words: str, log: Path) -> tuple[int, str]:
    """Run a command that must fail, and return its code and what it says."""
    code = ring.start(*words, log=log).wait(120)
    said = log.read_text()
    assert code != 0, said
    assert "Traceback" not in said
    return code, said


def grow(ring: Ring, count: int, *topics: str) -> None:
    client = AdminClient({"bootstrap.servers": ring.kafka})
    for future in client.create_partitions([NewPartitions(topic, count) for topic in topics]).values():
        future.result()
    wait_for(
        lambda: all(len(client.list_topics(timeout=10).topics[topic].partitions) == count for topic in topics), "growth"
    )


def rank_and_join(ring: Ring, folder: Path, *words: str) -> None:
    ring.run("rank", "--until-idle", "1", log=folder / "rank.log")
    ring.run("join", "--until-idle", "1", *words, log=folder / "join.log")


def test_a_grown_ring_keeps_its_partitions(ring: Ring, tmp_path: Path) -> None:
    rank_and_join(ring, tmp_path)
    grow(ring, 8, ring.topics.rankings, ring.topics.outcomes, ring.topics.labels)
    ring.send(ring.topics.acceptances, [acceptance(number, f"offer-{number % 3}") for number in range(ASKED)])
    rank_and_join(ring, tmp_path)
    labels = values(ring.read(ring.topics.labels))
    assert {label["request_id"] for label in labels} == {f"q-{number}" for number in range(ASKED)}
    assert ring.read(ring.topics.dead_letters) == []
    assert "goes on with the 4" in (tmp_path / "join.log").read_text()


def test_every_worker_refuses_unequal_topics(ring: Ring, tmp_path: Path) -> None:
    grow(ring, 8, ring.topics.outcomes)
    for job in ("rank", "join"):
        code, said = refusal(ring, job, "--until-idle", "1", log=tmp_path / job)
        assert code == 2
        assert f"{ring.topics.outcomes} has 8" in said
        assert "--grow 8" in said


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"STREAM_SCORER_JOIN__WINDOW_MS": "1000"}, "join.window_ms was 1800000 and is 1000"),
        ({"STREAM_SCORER_JOIN__EMIT": "at_close"}, "join.emit was at_once and is at_close"),
    ],
)
def test_open_requests_fix_the_labels_settings(ring: Ring, tmp_path: Path, options: dict[str, str], said: str) -> None:
    rank_and_join(ring, tmp_path)
    ring.options |= options
    code, text = refusal(ring, "join", "--until-idle", "1", log=tmp_path / "refused")
    assert code == 2
    assert said in text
    ring.run("rank", "--until-idle", "1", log=tmp_path / "rank.log")  # which does not depend on it


SHORT = {
    f"STREAM_SCORER_JOIN__{name}_MS": value
    for name, value in {
        "WINDOW": "2000", "LATE": "0", "DISORDER": "1000", "BACK": "0", "SKEW": "1000", "IDLE_SLACK": "100",
    }.items()
}  # fmt: skip


def test_only_a_drained_ring_grows(ring: Ring, tmp_path: Path) -> None:
    ring.options |= SHORT
    ring.send(ring.topics.acceptances, [acceptance(number, f"offer-{number % 3}") for number in range(ASKED)])
    rank_and_join(ring, tmp_path)
    ring.send(ring.topics.acceptances, [acceptance(0, "offer-0")])  # again; what is open may close before we look
    ring.run("rank", "--until-idle", "1", log=tmp_path / "rank.log")
    code, said = refusal(ring, "topics", "--grow", "8", log=tmp_path / "refused")
    assert code == 2
    assert "open or unread" in said
    ring.run("join", "--until-idle", "8", log=tmp_path / "join.log")
    ring.run("topics", "--grow", "8", log=tmp_path / "grown")
    assert "goes on with 8 partitions" in (tmp_path / "grown").read_text()
    # after the quiet that has drained the ring, as events of now would be
    later = {number: START_MS + 600_000 + number for number in range(ASKED, 3 * ASKED)}
    ring.send(ring.topics.requests, [request(number, event_time_ms=at_ms) for number, at_ms in later.items()])
    answers = [acceptance(number, f"offer-{number % 3}", event_time_ms=at_ms + 9) for number, at_ms in later.items()]
    ring.send(ring.topics.acceptances, answers)
    rank_and_join(ring, tmp_path)
    ring.topics = ring.topics.model_copy(update={"partitions": 8})
    accepted = {
        label["request_id"]
        for label in values(ring.read(ring.topics.labels))
        if any(one["accepted"] for one in label["offers"])
    }
    assert accepted == {f"q-{number}" for number in range(3 * ASKED)}
    assert {record.partition for record in ring.read(ring.topics.rankings)} == set(range(8))
    ring.options["STREAM_SCORER_JOIN__WINDOW_MS"] = "3000"
    assert refusal(ring, "join", "--until-idle", "1", log=tmp_path / "window")[0] == 2
    ring.run("topics", "--adopt", "--drop-open", log=tmp_path / "adopted")
    ring.run("join", "--until-idle", "1", log=tmp_path / "join.log")


def make_anew(ring: Ring, topic: str, partitions: int = 4) -> None:
    client = AdminClient({"bootstrap.servers": ring.kafka})
    client.delete_topics([topic])[topic].result()
    wait_for(lambda: topic not in client.list_topics(timeout=10).topics, f"the end of {topic}")
    wait_for(lambda: made(client, topic, partitions), f"a new {topic}")


def made(client: AdminClient, topic: str, partitions: int) -> bool:
    try:
        client.create_topics([NewTopic(topic, partitions, 1)])[topic].result()
    except KafkaException:  # the deletion is not over yet
        return False
    return True


def test_verify_judges_by_the_joiners_settings(ring: Ring, tmp_path: Path) -> None:
    ring.send(ring.topics.acceptances, [acceptance(number, f"offer-{number % 3}") for number in range(ASKED)])
    rank_and_join(ring, tmp_path)
    ring.options["STREAM_SCORER_JOIN__WINDOW_MS"] = "10"
    ring.run("verify", "--topics-only", log=tmp_path / "verify.log")
    said = (tmp_path / "verify.log").read_text()
    assert "join.window_ms was 1800000 and is 10 here" in said
    assert "nothing lost, nothing doubled" in said
    assert "join.window_ms was 1800000" in refusal(ring, "doctor", log=tmp_path / "doctor.log")[1]


def test_a_recreated_topic_must_be_adopted(ring: Ring, tmp_path: Path) -> None:
    rank_and_join(ring, tmp_path)
    make_anew(ring, ring.topics.outcomes)
    for words in (["rank"], ["join"], ["topics", "--adopt"]):
        code, said = refusal(ring, *words, log=tmp_path / words[0])
        assert code == 2
        assert "topics.outcomes is another topic than it was" in said or "open or unread" in said
    ring.run("topics", "--adopt", "--drop-open", log=tmp_path / "adopted")
    ring.send(ring.topics.requests, [request(number) for number in range(ASKED, 2 * ASKED)])
    ring.send(ring.topics.acceptances, [acceptance(number, f"offer-{number % 3}") for number in range(2 * ASKED)])
    rank_and_join(ring, tmp_path)
    labels = values(ring.read(ring.topics.labels))
    assert {label["request_id"] for label in labels} == {f"q-{number}" for number in range(ASKED, 2 * ASKED)}


def test_new_request_partitions_are_read_soon(ring: Ring, tmp_path: Path) -> None:
    ring.start("rank", log=tmp_path / "rank.log")
    ring.wait_until_read("rank", [ring.topics.requests])
    grow(ring, 12, ring.topics.requests)
    producer = ring.producer()
    for number in range(ASKED, 2 * ASKED):
        producer.produce(ring.topics.requests, msgspec.json.encode(request(number)), partition=4 + number % 8)
    assert producer.flush(30) == 0
    wait_for(lambda: len(ring.read(ring.topics.rankings)) == 2 * ASKED, "rankings of the new partitions")


def test_a_recreated_offers_topic_is_applied(ring: Ring, tmp_path: Path) -> None:
    send_offers(ring, price=1.0, rounds=1)
    ring.run("refresh", "--until-idle", "1", log=tmp_path / "refresh.log")
    make_anew(ring, ring.topics.offers)
    send_offers(ring, price=2.0, rounds=3)
    ring.run("refresh", "--until-idle", "1", log=tmp_path / "refresh.log")
    store = release_store(ring.settings())
    current = store.current()
    assert current is not None
    assert set(store.load(current).catalog.fragments) == {b'{"price":2.0}'}


def send_offers(ring: Ring, *, price: float, rounds: int) -> None:
    producer = ring.producer()
    for _ in range(rounds):
        for number in range(3):
            stated = {"offer_id": f"offer-{number}", "features": {"price": price}}
            producer.produce(ring.topics.offers, msgspec.json.encode(stated), key=f"offer-{number}")
    assert producer.flush(30) == 0


def test_records_that_expire_unread_are_logged(ring: Ring, tmp_path: Path) -> None:
    rank_and_join(ring, tmp_path)
    ring.send(ring.topics.requests, [request(number) for number in range(ASKED, 10 * ASKED)])
    expire(ring, ring.topics.requests)
    ring.run("rank", "--until-idle", "1", log=tmp_path / "rank")
    assert expired(tmp_path / "rank", ring.topics.requests) == 9 * ASKED
    ring.send(ring.topics.requests, [request(number) for number in range(ASKED, 10 * ASKED)])
    ring.run("rank", "--until-idle", "1", log=tmp_path / "rank.log")
    expire(ring, ring.topics.rankings)
    ring.run("join", "--until-idle", "1", log=tmp_path / "join")
    assert expired(tmp_path / "join", ring.topics.rankings) >= 9 * ASKED


def expire(ring: Ring, topic: str) -> None:
    """Delete all records of a topic, as retention does."""
    everything = [TopicPartition(topic, number, -1) for number in range(4)]
    client = AdminClient({"bootstrap.servers": ring.kafka})  # its futures end with it
    for future in client.delete_records(everything, request_timeout=30).values():
        future.result(40)


def expired(log: Path, topic: str) -> int:
    """Return how many records of a topic a worker has logged as expired unread."""
    events = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return sum(
        event["records_max"]
        for event in events
        if event["event"] == "records_expired_unread" and event["topic"] == topic
    )
