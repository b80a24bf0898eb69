"""buffer: what it writes, and where it goes on."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from stream_scorer.adapters.iceberg.buffer import IcebergBuffer
from stream_scorer.adapters.local.clock import HandClock
from stream_scorer.adapters.memory.buffer import MemoryBuffer
from stream_scorer.adapters.memory.stream import MemoryBroker, MemoryLog, MemorySink, MemorySource
from stream_scorer.adapters.parquet.buffer import ParquetBuffer
from stream_scorer.core.buffer.buffer_files import Chunk
from stream_scorer.core.buffer.compaction import CompactionPlan
from stream_scorer.core.buffer.examples import take_apart
from stream_scorer.core.messages import LabelledOffer, LabelledRanking
from stream_scorer.core.records import OutputRecord, Partition, Position
from stream_scorer.core.wire.codec import decode_all, encode
from stream_scorer.errors import BatchAborted, TransientError, UsageError
from stream_scorer.ports import TrainingBuffer
from stream_scorer.services.streaming.buffer import Buffer, BufferConfig
from stream_scorer.services.streaming.loop import Work
from tests.iceberg_tables import table_in

GROUP, LABELS, DEAD = "buffer", "training-labels", "dead-letters"
P = Partition(LABELS, 0)
CONFIG = BufferConfig(DEAD, file_rows_max=1_000, held_bytes_max=10**6, flush_s=10.0, keep_prob=1.0)
BAD = b"no label"


class World:
    """One broker with a partition of labels, one buffer, and members that come and go."""

    def __init__(self, config: BufferConfig = CONFIG, files: TrainingBuffer | None = None) -> None:
        self.config, self.clock = config, HandClock(1_000_000)
        self.broker = MemoryBroker(1, self.clock)
        self.buffer = MemoryBuffer()
        self.files = files or self.buffer
        self.sink = MemorySink(self.broker)
        self.join()

    def join(self) -> None:
        """Let a new member take the place of the one that was."""
        self.source = MemorySource(self.broker, GROUP, [LABELS], held=True)
        self.job = Buffer(self.source, MemoryLog(self.broker, GROUP), self.files, self.config, clock=self.clock)

    def label(self, *values: str | bytes, offers: int = 1) -> None:
        for value in values:
            self.broker.append(
                OutputRecord(LABELS, b"c", value if isinstance(value, bytes) else labelled(value, offers), partition=0)
            )

    def step(self, *, seconds: float = 0.0, write: bool = True) -> Work | None:
        """Fetch once and write what is due; without `write` the process is killed before."""
        self.clock.sleep(seconds)
        work = self.job.process(self.source.fetch(records_max=100, wait_s=0.0, linger_s=0.0))
        if work is not None and write:
            self.sink.write(work.outputs, work.progress, self.source)
            self.job.written(work)
        return work

    def run(self) -> None:
        for _ in range(4):
            self.step(seconds=CONFIG.flush_s)

    @property
    def rows(self) -> list[str]:
        return [row.request_id for batch in self.files.read() for row in batch]

    @property
    def committed(self) -> int:
        return self.broker.committed[GROUP, P].offset

    @property
    def dead(self) -> Sequence[bytes | None]:
        return [record.value for record in self.broker.topic(DEAD)]


def labelled(request: str, offers: int = 1) -> bytes:
    rows = [LabelledOffer(f"o{rank}", rank, 0.5, 1.0, {}, 1, "accepted", 5) for rank in range(1, offers + 1)]
    return encode(LabelledRanking(request, 1, False, "c", 0, "rel", {}, rows))


def test_labels_are_written_when_old_enough() -> None:
    world = World()
    world.label("r1", "r2")
    world.step()
    world.step(seconds=1)
    world.step(seconds=8)
    assert world.rows == []
    world.step(seconds=2)
    assert world.rows == ["r1", "r2"]
    assert world.committed == 2


def test_files_keep_to_their_row_bound() -> None:
    world = World(BufferConfig(DEAD, file_rows_max=5, held_bytes_max=10**6, flush_s=10.0, keep_prob=1.0))
    world.label(*(f"r{place}" for place in range(7)), offers=2)
    world.run()
    assert [(chunk.first, chunk.next, len(chunk.rows)) for chunk in world.buffer.chunks] == [
        (0, 2, 4),
        (2, 4, 4),
        (4, 6, 4),
        (6, 7, 2),
    ]


def test_memory_is_bounded_by_bytes() -> None:
    world = World(BufferConfig(DEAD, file_rows_max=1_000, held_bytes_max=10, flush_s=1e9, keep_prob=1.0))
    world.label("r1")
    world.step()
    world.step()
    assert world.rows == ["r1"]


def test_a_bad_record_harms_only_itself() -> None:
    world = World()
    world.label("r1", BAD, "r2")
    world.run()
    assert (world.rows, world.dead, world.committed) == (["r1", "r2"], [BAD], 3)


def test_a_kill_before_files_reads_everything_again() -> None:
    world = World()
    world.label("r1", BAD)
    world.step()
    world.step()
    world.join()
    world.run()
    assert (world.rows, world.dead) == (["r1"], [BAD])


def test_a_kill_before_offsets_doubles_nothing() -> None:
    world = World()
    world.label("r1", BAD)
    world.step()
    world.step()
    world.step(seconds=10, write=False)
    assert (world.rows, world.dead, world.committed) == (["r1"], [], 0)
    world.join()
    world.label("r2")
    world.run()
    assert (world.rows, world.dead, world.committed) == (["r1", "r2"], [BAD], 3)


def test_a_table_doubles_nothing_either(tmp_path: Path) -> None:
    world = World(files=IcebergBuffer.open(table_in(tmp_path)))
    world.label("r1", BAD)
    world.step()
    world.step()
    world.step(seconds=10, write=False)
    world.join()
    world.label("r2")
    world.run()
    assert (sorted(world.rows), world.dead, world.committed) == (["r1", "r2"], [BAD], 3)


def test_refused_offsets_double_no_rows() -> None:
    world = World()
    world.label("r1", BAD)
    world.step()
    world.step()
    world.sink.aborts_next = [BatchAborted("told to")]
    with pytest.raises(BatchAborted):
        world.step(seconds=10)
    world.job.aborted()
    world.run()
    assert (world.rows, world.dead, world.committed) == (["r1"], [BAD], 2)


def test_offsets_ahead_of_files_lose_nothing() -> None:
    world = World()
    world.label("r1", BAD)
    world.broker.committed[GROUP, P] = Position(2)
    assert [work.progress[P] for _ in range(4) if (work := world.step(seconds=10)) is not None] == [Position(2)] * 2
    assert (world.rows, world.dead) == (["r1"], [])


@pytest.mark.parametrize(("oldest", "logged"), [(1, []), (2, [(1, 2)])])
def test_labels_expired_before_files_are_logged(oldest: int, logged: list[tuple[int, int]]) -> None:
    world = World()
    world.label("r1", "r2", "r3")
    world.buffer.write([Chunk(P, 0, 1, [])])
    world.broker.oldest[P] = oldest
    with capture_logs() as logs:
        world.step()
    lines = [line for line in logs if line["event"] == "labels_expired_unread"]
    assert [(line["first"], line["next"]) for line in lines] == logged


def test_a_revoked_partitions_rows_are_forgotten() -> None:
    world = World()
    world.label("r1")
    world.step()
    world.step()
    world.source.move_away([P])
    world.run()
    assert world.rows == []
    assert world.job.idle()


def test_a_refused_chunk_resumes_behind_the_other() -> None:
    world = World()
    world.label("r1", "r2", "r3")
    world.step()
    world.step()
    (ranking,) = decode_all([world.broker.log(P)[0]], LabelledRanking).messages
    world.buffer.write([Chunk(P, 0, 1, list(take_apart(ranking)))])
    world.run()
    assert world.rows == ["r1", "r2", "r3"]


@pytest.mark.parametrize("landed", [True, False])
def test_passing_folder_trouble_is_waited_out(landed: bool) -> None:
    world = World()
    world.label("r1")
    world.step()
    world.buffer.failures, world.buffer.landed = 3, landed
    world.run()
    assert world.rows == ["r1"]


def test_lasting_folder_trouble_ends_the_process() -> None:
    world = World()
    world.label("r1")
    world.step()
    world.buffer.failures = 99
    with pytest.raises(TransientError):
        world.run()


def test_a_folder_of_another_topic_is_refused() -> None:
    world = World()
    world.buffer.write([Chunk(P, 0, 50, [])])
    with pytest.raises(UsageError, match="up to offset 50, but it ends at 0"):
        world.step()


def test_a_clean_end_writes_what_remains() -> None:
    world = World()
    world.label("r1")
    world.step()
    world.step()
    work = world.job.finish()
    assert work is not None
    assert (world.rows, work.progress) == (["r1"], {P: Position(1)})


def test_unknown_labels_move_on_without_files() -> None:
    world = World()
    unknown = LabelledOffer("o", 1, 0.5, 1.0, {}, None, None, None)
    world.label(encode(LabelledRanking("r", 1, False, "c", 0, "rel", {}, [unknown])))
    world.run()
    assert (world.buffer.chunks, world.committed) == ([], 1)


def test_the_buffer_compacts_by_itself(tmp_path: Path) -> None:
    world = World(
        replace(CONFIG, compaction=CompactionPlan(files_min=4, replaced_kept_ms=0)), ParquetBuffer.open(str(tmp_path))
    )
    for number in range(20):
        world.label(f"r{number}")
        world.step()
        world.step(seconds=11)
    world.step()
    assert sorted(world.rows) == sorted(f"r{number}" for number in range(20))
    assert world.job.counts["compacted"] > 12


def test_a_failed_compaction_delays_no_labels(tmp_path: Path) -> None:
    world = World(replace(CONFIG, compaction=CompactionPlan(files_min=2)), ParquetBuffer.open(str(tmp_path)))
    for number in range(9):
        world.label(f"r{number}")
        world.step()
        world.step(seconds=11)
        for path in tmp_path.rglob("*+000000000000-*.parquet"):
            path.write_bytes(b"spoilt")
    assert world.committed == 9
    assert world.job.counts["compacted"] == 0


def test_a_recreated_topic_is_refused() -> None:
    world = World()
    world.label("r1", "r2")
    world.step()
    world.step(seconds=20.0)
    world.broker.make_anew(LABELS)
    world.label(*[f"s{number}" for number in range(9)])
    world.join()
    with pytest.raises(UsageError, match=r"made anew.*set buffer\.folder to a new folder"):
        world.step()
