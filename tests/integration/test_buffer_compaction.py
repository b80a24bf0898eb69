"""Buffers that make few files of many while they are killed at random, and while somebody reads."""

import random
from pathlib import Path

from stream_scorer.adapters.parquet.buffer import ParquetBuffer
from tests.integration.test_buffer import OFFERS, finish, kill_after, ring, send, times_stored
from tests.ring import Ring

__all__ = ["ring"]

RANKINGS = 2_000
# files of a few rows, merged as soon as there are three
BUSY = {
    "STREAM_SCORER_LOOP__BATCH_RECORDS_MAX": "20",
    "STREAM_SCORER_BUFFER__FILE_ROWS_MAX": "100",
    "STREAM_SCORER_BUFFER__COMPACT_FILES_MIN": "3",
}


def test_kills_during_compaction_lose_nothing(ring: Ring, tmp_path: Path) -> None:
    send(ring, RANKINGS)
    chance, folder = random.Random(7), tmp_path / "buffer"
    for _ in range(3):
        kill_after("*+compacted.parquet", ring, folder, chance, **BUSY)
    assert finish(ring, folder, "--until-idle", "1", **BUSY)["compacted"] > 0
    assert set(times_stored(folder).values()) == {1}
    assert len(times_stored(folder)) == RANKINGS * OFFERS


def test_compaction_leaves_readers_their_files(ring: Ring, tmp_path: Path) -> None:
    send(ring, 900)
    finish(ring, tmp_path, "--until-idle", "0.5", **BUSY | {"STREAM_SCORER_BUFFER__COMPACT_FILES_MIN": "1000"})
    reading = ParquetBuffer.open(str(tmp_path)).read()
    first = next(reading)
    compacted = finish(ring, tmp_path, "--compact")
    assert compacted["files_after"] < compacted["files_before"]
    assert len(first) + sum(map(len, reading)) == 900 * OFFERS
