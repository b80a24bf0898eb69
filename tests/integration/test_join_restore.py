"""A joiner whose restore waits, on a real broker."""

import time
from pathlib import Path

from confluent_kafka import Consumer, Producer, TopicPartition

from stream_scorer.services.streaming.join_restore import CLOSE_S
from tests.ring import Ring
from tests.waiting import wait_for


def test_a_joiner_stops_while_its_restore_waits(ring: Ring, tmp_path: Path) -> None:
    group = f"join-{ring.tag}"
    predecessor = Producer(
        {"bootstrap.servers": ring.kafka, "transactional.id": group, "transaction.timeout.ms": 60_000}
    )
    predecessor.init_transactions(30)
    predecessor.begin_transaction()
    member = Consumer({"bootstrap.servers": ring.kafka, "group.id": group}).consumer_group_metadata()
    places = [TopicPartition(ring.topics.rankings, number, 0) for number in range(4)]
    predecessor.send_offsets_to_transaction(places, member, 30)
    log = tmp_path / "join"
    joiner = ring.start("join", log=log)
    wait_for(lambda: "partitions_assigned" in log.read_text(), "an assignment")
    joiner.terminate()
    started_s = time.monotonic()
    assert joiner.wait(30) == 0
    assert time.monotonic() - started_s < CLOSE_S + 4
    predecessor.abort_transaction(30)
