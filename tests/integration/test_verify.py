"""verify on a real Kafka: a right ring passes, aborted transactions are recognised, planted faults are named."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from confluent_kafka import Consumer, TopicPartition

from stream_scorer.adapters.kafka.client import new_producer
from tests.release_samples import model, offer
from tests.ring import Ring, acceptance, request


@pytest.fixture
def ring(ring: Ring, tmp_path: Path) -> Ring:
    """A ring after some work: answers early and late, unknown ones, bad records, a request sent twice."""
    ring.options["STREAM_SCORER_BUFFER__FOLDER"] = str(tmp_path / "buffer")
    ring.publish(model(1), [offer(number) for number in range(3)])
    ring.send(
        ring.topics.requests, [*(request(number) for number in range(300)), request(7), b"{", request(8, limit=0)]
    )
    answers = [acceptance(number, f"offer-{number % 3}", accepted=number % 4 > 0) for number in range(0, 300, 5)]
    ring.send(
        ring.topics.acceptances, [*answers, *answers[:9], acceptance(999, "offer-1"), acceptance(3, "offer-77"), b"[]"]
    )
    work(ring, tmp_path)
    return ring


def work(ring: Ring, folder: Path) -> None:
    for command in ("rank", "join", "buffer"):
        ring.run(command, "--until-idle", "1", log=folder / "work.log")


def verify(ring: Ring) -> tuple[int, dict[str, Any]]:
    done = ring.command("verify", "--json")
    return done.returncode, json.loads(done.stdout)


def plant_aborted(ring: Ring) -> None:
    producer = new_producer({"bootstrap.servers": ring.kafka, "transactional.id": f"planted-{ring.tag}"})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(ring.topics.rankings, ring.read(ring.topics.rankings)[0].value, partition=0)
    producer.flush(30)
    producer.abort_transaction(30)


def plant_again(ring: Ring, topic: str) -> None:
    record = ring.read(topic)[0]
    producer = ring.producer()
    producer.produce(topic, record.value, record.key, record.partition, headers=list(record.headers))
    assert producer.flush(30) == 0


def pass_over(ring: Ring, number: int) -> None:
    """Send a request, and let the rankers' group commit behind it without a ranking."""
    ring.send(ring.topics.requests, [request(number)])
    group = Consumer({"bootstrap.servers": ring.kafka, "group.id": f"rank-{ring.tag}"})
    places = [TopicPartition(ring.topics.requests, number) for number in range(ring.topics.partitions)]
    for place in places:
        place.offset = group.get_watermark_offsets(place, 30)[1]
    group.commit(offsets=places, asynchronous=False)
    group.close()


def lose_a_row(folder: Path) -> None:
    path = min(folder.rglob("*.parquet"))
    pq.write_table(pq.read_table(path, partitioning=None).slice(1), path)


def test_a_right_ring_passes(ring: Ring) -> None:
    plant_aborted(ring)
    code, report = verify(ring)
    assert (code, report["faults"]) == (0, {})
    assert report["aborted"] == {ring.topics.rankings: 1}
    assert (report["records"][ring.topics.requests], report["records"][ring.topics.rankings]) == (303, 301)
    assert (report["unsettled"], report["rows"]) == ({}, 60)
    assert {name.split(": ")[1] for name in report["dead_letters"]} >= {"number_out_of_range", "offer_not_ranked"}


def test_planted_faults_are_detected(ring: Ring, tmp_path: Path) -> None:
    plant_again(ring, ring.topics.rankings)
    plant_again(ring, ring.topics.labels)
    plant_again(ring, ring.topics.dead_letters)
    pass_over(ring, 5_000)
    lose_a_row(tmp_path / "buffer")
    code, report = verify(ring)
    assert code == 1
    assert report["faults"] == {
        "request_doubled": 1,
        "revision_doubled": 1,
        "dead_letter_doubled": 1,
        "request_lost": 1,
        "rows_missing": 1,
    }
    assert report["examples"]["request_lost"][0].startswith("q-5000")
