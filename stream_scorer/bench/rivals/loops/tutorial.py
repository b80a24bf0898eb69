"""A loop as tutorials of confluent-kafka have it: poll one message, rank it, produce; offsets are committed by time."""

import json
import time

from confluent_kafka import Consumer, Producer
from plain_ranking import PlainRanking, described


def main() -> None:
    """Rank until nothing has come for `idle_s`."""
    job = described()
    ranking = PlainRanking(job["folder"])
    consumer = Consumer(
        {"bootstrap.servers": job["servers"], "group.id": job["group"], "auto.offset.reset": "earliest"}
    )
    producer = Producer({"bootstrap.servers": job["servers"]})
    consumer.subscribe([job["source"]])
    quiet_since_s: float | None = None
    while quiet_since_s is None or time.monotonic() - quiet_since_s < job["idle_s"]:
        message = consumer.poll(0.2)
        if message is None or message.error():
            continue
        ranked = ranking.rank(json.loads(message.value() or b""))
        producer.produce(job["target"], json.dumps(ranked).encode(), message.key())
        producer.poll(0)
        quiet_since_s = time.monotonic()
    producer.flush()
    consumer.close()


main()
