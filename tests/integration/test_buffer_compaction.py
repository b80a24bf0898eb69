"""Buffers that make few files of many while they are killed at random, and while somebody reads."""

import random
import time
from pathlib import Path

from stream_scorer.adapters.parquet.buffer import ParquetBuffer
from stream_scorer.topic_settings import TopicSettings
from tests.integration.test_buffer import OFFERS, finish, kill, send, start, times_stored

RANKINGS = 3_000
# files of a few rows, made one at once
BUSY = {
    "STREAM_SCORER_LOOP__BATCH_RECORDS_MAX": "20",
    "STREAM_SCORER_BUFFER__FILE_ROWS_MAX": "100",
    "STREAM_SCORER_BUFFER__COMPACT_FILES_MIN": "3",
}


def wait_for_compaction(folder: Path, known: int) -> None:
    deadline_s = time.monotonic() + 120
    while len(list(folder.rglob("*+compacted.parquet"))) <= known:
        assert time.monotonic() < deadline_s, f"no file was compacted besides {known} for 120 s"
        time.sleep(0.01)


def test_buffers_killed_while_they_compact_lose_and_double_nothing(
    kafka: str, topics: TopicSettings, tmp_path: Path
) -> None:
    send(kafka, topics, RANKINGS)
    chance = random.Random(7)
    for _ in range(3):
        known = len(list(tmp_path.rglob("*+compacted.parquet")))
        members = [start(kafka, topics, tmp_path, **BUSY) for _ in range(2)]
        try:
            wait_for_compaction(tmp_path, known)
            time.sleep(chance.uniform(0, 0.2))
        finally:
            kill(members)
    assert finish(start(kafka, topics, tmp_path, "--until-idle", "1", **BUSY))["compacted"] > 0
    assert set(times_stored(tmp_path).values()) == {1}
    assert len(times_stored(tmp_path)) == RANKINGS * OFFERS


def test_who_has_listed_the_files_reads_them_though_they_are_made_one(
    kafka: str, topics: TopicSettings, tmp_path: Path
) -> None:
    send(kafka, topics, 900)
    finish(
        start(
            kafka, topics, tmp_path, "--until-idle", "0.5", **BUSY | {"STREAM_SCORER_BUFFER__COMPACT_FILES_MIN": "1000"}
        )
    )
    reading = ParquetBuffer.open(str(tmp_path)).read()
    first = next(reading)
    compacted = finish(start(kafka, topics, tmp_path, "--compact"))
    assert compacted["files_after"] < compacted["files_before"]
    assert len(first) + sum(map(len, reading)) == 900 * OFFERS
