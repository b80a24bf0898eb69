"""What every training buffer must do: in memory, in a local folder, on a real S3 server, and as an Iceberg table."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stream_scorer.adapters.iceberg.buffer import IcebergBuffer
from stream_scorer.adapters.memory.buffer import MemoryBuffer
from stream_scorer.adapters.parquet.buffer import ParquetBuffer
from stream_scorer.core.buffer.buffer_files import Chunk, Sampled
from stream_scorer.core.buffer.examples import ExampleRow, example_id
from stream_scorer.core.messages import Features
from stream_scorer.core.records import Partition
from stream_scorer.errors import UsageError
from stream_scorer.ports import TrainingBuffer
from tests.iceberg_tables import table_in

P, Q = Partition("training-labels", 0), Partition("training-labels", 1)
DAY_MS = 86_400_000


@pytest.fixture(params=["memory", "local", "s3", "iceberg"])
def buffer(request: pytest.FixtureRequest, tmp_path: Path) -> TrainingBuffer:
    if request.param == "memory":
        return MemoryBuffer()
    if request.param == "local":
        return ParquetBuffer.open(str(tmp_path / "labels"))
    if request.param == "iceberg":
        return IcebergBuffer.open(table_in(tmp_path))
    return ParquetBuffer.open(request.getfixturevalue("s3").format(tmp_path.name))


def row(request: str, *, day: int = 0, **features: Any) -> ExampleRow:
    time_ms = day * DAY_MS
    offer_features: Features = {"price": 9.5, "tags": ["a", "b"], "text": [0.25, -1.0]}
    return ExampleRow(
        example_id(request, "c", "o"),
        1,
        request,
        "c",
        "o",
        1,
        "accepted",
        features,
        offer_features,
        1,
        0.5,
        1.0,
        "rel",
        time_ms,
        time_ms,
        "shown",
    )


def chunk(first: int, following: int, *, partition: Partition = P, days: int = 1) -> Chunk:
    return Chunk(
        partition,
        first,
        following,
        [row(f"{partition.number}-{offset}", day=offset % days) for offset in range(first, following)],
    )


def stored(buffer: TrainingBuffer) -> list[str]:
    return sorted(row.request_id for rows in buffer.read() for row in rows)


def test_an_empty_buffer_stands_nowhere(buffer: TrainingBuffer) -> None:
    assert buffer.positions([P]) == {P: None}
    assert stored(buffer) == []


def test_rows_read_back_exactly(buffer: TrainingBuffer) -> None:
    rows = [
        row("r1", age=30.0, city="Köln"),
        row("r2", age=None, bag=[], vector=[1e-300]),
        row("r3", age="thirty", flag=True),
        row("r4")._replace(tower_rank=2, reranker_score=-0.5),
    ]
    buffer.write([Chunk(P, 0, 4, rows)])
    assert [one for batch in buffer.read() for one in batch] == rows


def test_each_partition_stands_behind_its_last_chunk(buffer: TrainingBuffer) -> None:
    assert buffer.write([chunk(0, 5, days=2), chunk(0, 9, partition=Q)]) == []
    buffer.write([chunk(5, 7)])
    assert buffer.positions([P, Q]) == {P: 7, Q: 9}


def test_the_same_chunk_again_changes_nothing(buffer: TrainingBuffer) -> None:
    buffer.write([chunk(0, 5, days=2)])
    assert buffer.write([chunk(0, 5, days=2)]) == []
    assert stored(buffer) == [f"0-{offset}" for offset in range(5)]


@pytest.mark.parametrize("late", [(0, 4), (0, 6), (2, 5), (3, 8), (6, 8)], ids=str)
def test_a_chunk_with_a_gap_is_refused(buffer: TrainingBuffer, late: tuple[int, int]) -> None:
    buffer.write([chunk(0, 5)])
    assert buffer.write([chunk(*late), chunk(0, 1, partition=Q)]) == [P]
    assert stored(buffer) == [*(f"0-{offset}" for offset in range(5)), "1-0"]


def test_erasure_removes_one_customers_rows_only(buffer: TrainingBuffer) -> None:
    buffer.write([Chunk(P, 0, 3, [row("r1"), row("r2", day=1)._replace(customer_id="d"), row("r3", day=1)])])
    assert sum(buffer.rows_of("c").values()) == 2
    assert sum(buffer.erase("c", 2 * DAY_MS).values()) == 2
    assert (stored(buffer), buffer.rows_of("c")) == (["r2"], {})
    assert buffer.positions([P]) == {P: 3}


def test_later_rows_of_erased_requests_stay_out(buffer: TrainingBuffer) -> None:
    buffer.erase("c", DAY_MS)
    assert buffer.write([Chunk(P, 0, 2, [row("before", day=1), row("after", day=2)])]) == []
    assert stored(buffer) == ["after"]
    assert buffer.write([Chunk(P, 2, 3, [row("before too")])]) == []
    assert buffer.positions([P]) == {P: 3}


def test_erasing_again_removes_nothing_more(buffer: TrainingBuffer) -> None:
    buffer.write([chunk(0, 3)])
    assert sum(buffer.erase("c", DAY_MS).values()) == 3
    assert buffer.erase("c", DAY_MS) == {}


def test_how_offsets_were_sampled_is_known_afterwards(buffer: TrainingBuffer) -> None:
    buffer.write([replace(chunk(0, 3, days=2), keep_prob=0.5)])
    buffer.write([replace(chunk(3, 5), keep_prob=0.5), chunk(2, 4, partition=Q)])
    buffer.write([chunk(5, 6)])
    assert buffer.sampled([P]) == {P: [Sampled(0, 5, 0.5), Sampled(5, 6, 1.0)]}
    assert buffer.sampled([Q]) == {Q: [Sampled(2, 4, 1.0)]}


def test_erasure_keeps_the_record_of_sampling(buffer: TrainingBuffer) -> None:
    buffer.write([replace(chunk(0, 3), keep_prob=0.25)])
    buffer.erase("c", DAY_MS)
    assert buffer.sampled([P]) == {P: [Sampled(0, 3, 0.25)]}


def test_a_buffer_exists_once_something_is_written(buffer: TrainingBuffer) -> None:
    assert not buffer.exists()
    buffer.write([chunk(0, 3)])
    assert buffer.exists()


def test_the_buffered_topics_id_is_stated(buffer: TrainingBuffer) -> None:
    assert buffer.topic_id("training-labels") == ""
    buffer.state_topic("training-labels", "first")
    buffer.state_topic("other", "second")
    assert [buffer.topic_id(name) for name in ("training-labels", "other")] == ["first", "second"]
    assert list(buffer.read()) == []


def test_files_lost_while_writing_are_missed(buffer: TrainingBuffer) -> None:
    buffer.positions([P])
    buffer.write([chunk(0, 3)])
    empty(buffer)
    with pytest.raises(UsageError, match="gone"):
        buffer.write([chunk(3, 5)])
    assert buffer.positions([P]) == {P: None}
    assert buffer.write([chunk(0, 5)]) == []


def empty(buffer: TrainingBuffer) -> None:
    """Remove the files behind the buffer's back, as somebody does who moves the folder."""
    if isinstance(buffer, MemoryBuffer):
        buffer.chunks.clear()
    elif isinstance(buffer, ParquetBuffer):
        buffer._folder.delete([file.path for file in buffer.files()])
    elif isinstance(buffer, IcebergBuffer):
        assert buffer._catalog is not None
        buffer._catalog.drop_table(buffer._place.identifier)
