"""The buffer on a real Kafka: killed at random, every label is in the files once."""

import json
import random
import time
from collections import Counter
from pathlib import Path

import pytest

from stream_scorer.adapters.files.folders import Folder
from stream_scorer.adapters.parquet.buffer import ParquetBuffer
from stream_scorer.adapters.parquet.compaction import compact
from stream_scorer.core.messages import LabelledOffer, LabelledRanking
from stream_scorer.core.wire.codec import encode
from tests.ring import Ring
from tests.waiting import wait_for

DAY_MS = 86_400_000
RANKINGS, OFFERS, BAD = 2_000, 5, 7


def labelled(number: int) -> bytes:
    time_ms = number % 3 * DAY_MS
    offers = [
        LabelledOffer(f"o{rank}", rank, 0.5, 1.0, {"price": 1.5}, 0, "declined", time_ms)
        for rank in range(1, OFFERS + 1)
    ]
    return encode(LabelledRanking(f"r{number}", 1, True, f"c{number % 90}", time_ms, "rel", {"age": 30.0}, offers))


def send(ring: Ring, rankings: int = RANKINGS) -> None:
    producer, topics = ring.producer(), ring.topics
    for number in range(rankings):
        producer.produce(topics.labels, labelled(number), f"c{number % 90}")
        producer.poll(0)
    for number in range(BAD):
        producer.produce(topics.labels, b"no label", b"x", number % topics.partitions)
    assert producer.flush(30) == 0


@pytest.fixture
def ring(ring: Ring) -> Ring:
    ring.options |= {
        "STREAM_SCORER_KAFKA__SESSION_TIMEOUT_MS": "2000",
        "STREAM_SCORER_KAFKA__TRANSACTION_TIMEOUT_MS": "5000",
        "STREAM_SCORER_BUFFER__FLUSH_S": "0.1",
    }
    return ring


def finish(ring: Ring, folder: Path | str, *options: str, **settings: str) -> dict[str, int]:
    done = ring.command("buffer", "--folder", str(folder), "--json", *options, **settings)
    assert done.returncode == 0, done.stderr
    report: dict[str, int] = json.loads(done.stdout)
    return report


def kill_after(pattern: str, ring: Ring, folder: Path, chance: random.Random, **settings: str) -> None:
    """Run two buffers until there is one more file of such a name, and kill both a moment later."""
    count = len(list(folder.rglob(pattern)))
    for _ in range(2):
        ring.start("buffer", "--folder", str(folder), log=folder.parent / "buffer.log", **settings)
    wait_for(lambda: len(list(folder.rglob(pattern))) > count, f"another {pattern}", every_s=0.01)
    time.sleep(chance.uniform(0, 0.2))
    ring.stop()


def times_stored(folder: Path | str) -> Counter[str]:
    return Counter(row.example_id for rows in ParquetBuffer.open(str(folder)).read() for row in rows)


def test_a_drained_topic_is_in_the_files(ring: Ring, tmp_path: Path) -> None:
    send(ring)
    report = finish(ring, tmp_path, "--until-idle", "0.5")
    assert (report["rows"], report["dead_letters"]) == (RANKINGS * OFFERS, BAD)
    assert len(times_stored(tmp_path)) == RANKINGS * OFFERS
    assert finish(ring, tmp_path, "--until-idle", "0.5")["rows"] == 0


def test_a_bucket_serves_as_a_folder(ring: Ring, s3: str) -> None:
    folder = s3.format(ring.topics.labels)
    send(ring, 600)
    small_files = {"STREAM_SCORER_BUFFER__FILE_ROWS_MAX": "400"}
    assert finish(ring, folder, "--until-idle", "0.5", **small_files)["rows"] == 600 * OFFERS
    compacted = finish(ring, folder, "--compact")
    assert compacted["files_after"] < compacted["files_before"]
    assert len(times_stored(folder)) == 600 * OFFERS


def test_kills_at_random_lose_and_double_nothing(ring: Ring, tmp_path: Path) -> None:
    send(ring)
    chance, folder = random.Random(4), tmp_path / "buffer"
    slowly = {"STREAM_SCORER_LOOP__BATCH_RECORDS_MAX": "10", "STREAM_SCORER_BUFFER__FILE_ROWS_MAX": "50"}
    for _ in range(4):
        kill_after("*.parquet", ring, folder, chance, **slowly)
    assert len(times_stored(folder)) < RANKINGS * OFFERS, "the kills came too late to interrupt anything"
    compact(Folder.open(str(folder)))
    finish(ring, folder, "--until-idle", "1")
    assert set(times_stored(folder).values()) == {1}
    assert len(times_stored(folder)) == RANKINGS * OFFERS
    assert len(ring.read(ring.topics.dead_letters)) == BAD
