"""The buffer on a real Kafka: killed at random, every label is in the files once."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from functools import partial
from pathlib import Path

from confluent_kafka import Producer

from stream_scorer.adapters.files.folders import Folder
from stream_scorer.adapters.kafka.log import KafkaLog
from stream_scorer.adapters.parquet.buffer import ParquetBuffer
from stream_scorer.adapters.parquet.compaction import compact
from stream_scorer.core.messages import LabelledOffer, LabelledRanking
from stream_scorer.core.records import Partition
from stream_scorer.core.wire.codec import encode
from stream_scorer.topic_settings import TopicSettings
from tests.waiting import wait_for

DAY_MS = 86_400_000
RANKINGS, OFFERS, BAD = 4_000, 5, 7
RUN = "from stream_scorer.cli import main; main()"


def labelled(number: int) -> bytes:
    time_ms = number % 3 * DAY_MS
    offers = [
        LabelledOffer(f"o{rank}", rank, 0.5, 1.0, {"price": 1.5}, 0, "declined", time_ms)
        for rank in range(1, OFFERS + 1)
    ]
    return encode(LabelledRanking(f"r{number}", 1, True, f"c{number % 90}", time_ms, "rel", {"age": 30.0}, offers))


def send(kafka: str, topics: TopicSettings, rankings: int = RANKINGS) -> None:
    producer = Producer({"bootstrap.servers": kafka, "partitioner": "murmur2_random"})
    for number in range(rankings):
        producer.produce(topics.labels, labelled(number), f"c{number % 90}")
        producer.poll(0)
    for number in range(BAD):
        producer.produce(topics.labels, b"no label", b"x", number % topics.partitions)
    assert producer.flush(30) == 0


def start(
    kafka: str, topics: TopicSettings, folder: Path | str, *options: str, **settings: str
) -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        "STREAM_SCORER_KAFKA__BOOTSTRAP_SERVERS": kafka,
        "STREAM_SCORER_KAFKA__SESSION_TIMEOUT_MS": "2000",
        "STREAM_SCORER_KAFKA__TRANSACTION_TIMEOUT_MS": "5000",
        "STREAM_SCORER_TOPICS__LABELS": topics.labels,
        "STREAM_SCORER_TOPICS__DEAD_LETTERS": topics.dead_letters,
        "STREAM_SCORER_BUFFER__GROUP": f"buffer-{topics.labels}",
        "STREAM_SCORER_BUFFER__FLUSH_S": "0.1",
        **settings,
    }
    command = [sys.executable, "-c", RUN, "buffer", "--folder", str(folder), "--json", *options]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> dict[str, int]:
    said, _ = process.communicate(timeout=180)
    assert process.returncode == 0
    report: dict[str, int] = json.loads(said)
    return report


def kill(members: list[subprocess.Popen[str]]) -> None:
    for member in members:
        member.send_signal(signal.SIGKILL)
        member.communicate(timeout=60)


def has_more_than(files: int, folder: Path) -> bool:
    return len(list(folder.rglob("*.parquet"))) > files


def times_stored(folder: Path | str) -> Counter[str]:
    return Counter(row.example_id for rows in ParquetBuffer.open(str(folder)).read() for row in rows)


def dead_letters(kafka: str, topics: TopicSettings) -> int:
    log = KafkaLog({"bootstrap.servers": kafka, "group.id": "none"}, timeout_s=20)
    places = [Partition(topics.dead_letters, number) for number in range(topics.partitions)]
    return sum(len(batch) for place in places for batch in log.read(place, 0, log.end(place)))


def test_a_drained_topic_is_in_the_files(kafka: str, topics: TopicSettings, tmp_path: Path) -> None:
    send(kafka, topics)
    report = finish(start(kafka, topics, tmp_path, "--until-idle", "0.5"))
    assert (report["rows"], report["dead_letters"]) == (RANKINGS * OFFERS, BAD)
    assert len(times_stored(tmp_path)) == RANKINGS * OFFERS
    assert finish(start(kafka, topics, tmp_path, "--until-idle", "0.5"))["rows"] == 0


def test_an_s3_bucket_is_as_good_as_a_folder(kafka: str, topics: TopicSettings, s3: str) -> None:
    folder = s3.format(topics.labels)
    send(kafka, topics, 600)
    small_files = {"STREAM_SCORER_BUFFER__FILE_ROWS_MAX": "400"}
    assert finish(start(kafka, topics, folder, "--until-idle", "0.5", **small_files))["rows"] == 600 * OFFERS
    compacted = finish(start(kafka, topics, folder, "--compact"))
    assert compacted["files_after"] < compacted["files_before"]
    assert len(times_stored(folder)) == 600 * OFFERS


def test_kills_at_random_lose_and_double_nothing(kafka: str, topics: TopicSettings, tmp_path: Path) -> None:
    send(kafka, topics)
    chance = random.Random(4)
    slowly = {"STREAM_SCORER_LOOP__BATCH_RECORDS_MAX": "10", "STREAM_SCORER_BUFFER__FILE_ROWS_MAX": "50"}
    for _ in range(4):
        members = [start(kafka, topics, tmp_path, **slowly) for _ in range(2)]
        try:
            wait_for(
                partial(has_more_than, len(list(tmp_path.rglob("*.parquet"))), tmp_path), "another file", every_s=0.01
            )
            time.sleep(chance.uniform(0, 0.2))
        finally:
            kill(members)
    assert len(times_stored(tmp_path)) < RANKINGS * OFFERS, "the kills came too late to interrupt anything"
    compact(Folder.open(str(tmp_path)))
    finish(start(kafka, topics, tmp_path, "--until-idle", "1"))
    assert set(times_stored(tmp_path).values()) == {1}
    assert len(times_stored(tmp_path)) == RANKINGS * OFFERS
    assert dead_letters(kafka, topics) == BAD
