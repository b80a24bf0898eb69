"""The embedded broker has the topics it was given and serves other processes."""

import subprocess
import sys

from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient

from stream_scorer.adapters.local.embedded import EmbeddedBroker


def test_topics_have_the_partitions_asked_for() -> None:
    with EmbeddedBroker({"rankings": 3, "offers": 1}) as broker:
        found = AdminClient({"bootstrap.servers": broker.bootstrap_servers}).list_topics(timeout=30).topics
        assert {name: len(topic.partitions) for name, topic in found.items()} == {"rankings": 3, "offers": 1}


def test_another_process_reads_what_was_written() -> None:
    with EmbeddedBroker({"offers": 1}) as broker:
        producer = Producer({"bootstrap.servers": broker.bootstrap_servers})
        producer.produce("offers", b"value", key=b"key")
        assert producer.flush(30) == 0
        code = f"""
from confluent_kafka import Consumer, TopicPartition
consumer = Consumer({{"bootstrap.servers": "{broker.bootstrap_servers}", "group.id": "g"}})
consumer.assign([TopicPartition("offers", 0, 0)])
print(consumer.poll(30).value().decode())
consumer.close()
"""
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "value\n"


def test_a_committed_offset_is_kept() -> None:
    with EmbeddedBroker({"offers": 1}) as broker:
        producer = Producer({"bootstrap.servers": broker.bootstrap_servers})
        for number in range(3):
            producer.produce("offers", str(number).encode())
        producer.flush(30)
        assert _read(broker, 2) == [b"0", b"1"]
        assert _read(broker, 1) == [b"2"]


def _read(broker: EmbeddedBroker, count: int) -> list[bytes | None]:
    options = {
        "bootstrap.servers": broker.bootstrap_servers,
        "group.id": "g",
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
    }
    consumer = Consumer({**options, "session.timeout.ms": 6000, "heartbeat.interval.ms": 500})
    consumer.subscribe(["offers"])
    records = consumer.consume(count, timeout=60)
    consumer.commit(message=records[-1], asynchronous=False)
    consumer.close()
    return [each.value() for each in records]
