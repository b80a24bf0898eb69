"""Foreign bytes on every topic that a job reads: each job goes on, each such record is one dead letter."""

import time
from collections import Counter
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from stream_scorer.core.records import Record
from tests.release_samples import model, offer
from tests.ring import Ring, request, values

HOSTILE: dict[str, tuple[bytes | None, bytes | None, list[tuple[str, str | bytes | None]]]] = {
    "large value": (b"k", b" " * 2_300_000 + b"{}", []),
    "deep, open": (b"k", b"[" * 100_000, []),
    "deep, whole": (b"k", b'{"a":' * 2_000 + b"1" + b"}" * 2_000, []),
    "deep in a request": (b"k", b'{"request_id":"r","features":{"a":' + b"[" * 5_000 + b"]" * 5_000 + b"}}", []),
    "byte order mark": (b"k", b'\xef\xbb\xbf{"request_id":"r"}', []),
    "not a number": (b"k", b'{"request_id":"r","customer_id":"c","event_time_ms":NaN,"features":{}}', []),
    "beyond a double": (b"k", b'{"request_id":"r","customer_id":"c","event_time_ms":1e999}', []),
    "lone surrogate": (b"k", b'{"request_id":"\\ud800","customer_id":"c","event_time_ms":1}', []),
    "not UTF-8": (b"\xff", b"\xff\xfe\x00", []),
    "empty": (b"k", b"", []),
    "neither key nor value": (None, None, []),
    "large key": (b"k" * 1_500_000, b"{}", []),
    "large header": (b"k", b"{}", [("h" * 10_000, b"x" * 1_500_000), ("h", None), ("", b"")]),
    "another kind of JSON": (b"k", b'[{"request_id":"r"}]', []),
}


def send_hostile(ring: Ring, topic: str) -> int:
    """Send what no honest client of ours does, compressed, so that the broker takes it; return how many records.

    All but the first are of 1970. A broker drops a segment whose records are all older than the topic's retention, so
    one of today goes before them.
    """
    config = {"bootstrap.servers": ring.kafka, "compression.type": "gzip", "message.max.bytes": 10_000_000}
    producer, failed = Producer(config), []
    records = [one for one in HOSTILE.values() if one[0] or topic != ring.topics.offers]  # compacted: a key is a must
    for number, (key, value, headers) in enumerate(records):
        sent_ms = 1 if number else int(time.time() * 1000)
        producer.produce(
            topic, value, key, 1, headers=headers, timestamp=sent_ms, on_delivery=lambda error, _: failed.append(error)
        )
    assert producer.flush(30) == 0
    assert not any(failed)
    return len(records)


def sources(letters: list[Record]) -> Counter[tuple[str, int]]:
    headers = [dict(letter.headers) for letter in letters]
    return Counter((one["source.topic"].decode(), int(one["source.offset"])) for one in headers)


def readable(records: list[Record]) -> list[dict[str, Any]]:
    return values(record for record in records if (record.value or b"").startswith(b'{"request_id":"q-'))


def test_hostile_records_stop_no_job(ring: Ring, tmp_path: Path) -> None:
    ring.options |= {
        "STREAM_SCORER_BUFFER__FOLDER": str(tmp_path / "labels"),
        "STREAM_SCORER_BUFFER__FLUSH_S": "0.5",
    }
    ring.publish(model(1), [offer(number) for number in range(3)])
    topics = ring.topics
    read = [topics.requests, topics.acceptances, topics.offers, topics.rankings, topics.outcomes, topics.labels]
    sent = {topic: send_hostile(ring, topic) for topic in read}
    inputs = {
        "rank": [topics.requests, topics.acceptances],
        "join": [topics.rankings, topics.outcomes],
        "buffer": [topics.labels],
        "refresh": [topics.offers],
    }
    for start in (0, 100):  # the second time every job goes on where it ended, the joiner from a state that it restores
        ring.send(topics.requests, [request(number) for number in range(start, start + 20)])
        jobs = [ring.start(job, log=tmp_path / f"{job}.log") for job in inputs]
        for group, names in inputs.items():
            ring.wait_until_read(group, names, timeout_s=120)
        for job in jobs:
            job.terminate()
        assert [job.wait(60) for job in jobs] == [0, 0, 0, 0]
    assert len({one["request_id"] for one in readable(ring.read(topics.rankings))}) == 40
    letters = sources(ring.read(topics.dead_letters))
    assert set(letters.values()) == {1}
    assert Counter(topic for topic, _ in letters) == sent
