"""What the joiner asks of its source, and holds back, on memory adapters."""

from collections.abc import Sequence
from concurrent.futures import wait
from contextlib import closing
from dataclasses import replace
from threading import Event

import msgspec
import pytest

from stream_scorer.adapters.local.clock import HandClock
from stream_scorer.adapters.memory.stream import MemoryBroker, MemoryLog, MemorySource
from stream_scorer.core.joining import at_close
from stream_scorer.core.joining.labelling import Horizons
from stream_scorer.core.joining.ring_shape import RingShape
from stream_scorer.core.records import OutputRecord, Partition, Position
from stream_scorer.errors import UsageError
from stream_scorer.services.streaming.join_restore import Emit, JoinConfig
from stream_scorer.services.streaming.joiner import ASK_EVERY_MS, Joiner
from stream_scorer.services.streaming.loop import Work
from stream_scorer.topic_settings import TopicSettings
from tests.doubles import SilentTelemetry
from tests.join_oracle import ranking

HORIZONS = Horizons(window_ms=100, late_ms=2_000, disorder_ms=40, back_ms=20, tick_ms=1, skew_ms=30, idle_slack_ms=0)
RANKINGS = Partition("rankings", 0)
ASKED_MS = 1_000


class BusySource(MemorySource):
    """A source whose broker can have more to read by now."""

    more = False

    def still_at_end(self, partitions: Sequence[Partition]) -> bool:
        return not self.more and super().still_at_end(partitions)


class GatedLog(MemoryLog):
    """A reader that answers only while its gate is open."""

    def __init__(self, broker: MemoryBroker, group: str) -> None:
        super().__init__(broker, group)
        self.gate = Event()
        self.gate.set()

    def committed(self, partitions: Sequence[Partition]) -> dict[Partition, Position | None]:
        self.gate.wait(60)
        return super().committed(partitions)


class World:
    """A partition with one ranking, and a joiner that has it."""

    def __init__(self, emit: Emit = "at_once") -> None:
        self.shape = RingShape(1, {}, emit, HORIZONS)
        config = JoinConfig(TopicSettings(), "dead-letters", HORIZONS, held_max=100, emit=emit, shape=self.shape)
        self.broker = MemoryBroker(1, HandClock(ASKED_MS))
        self.rank("r")
        self.log, self.telemetry = GatedLog(self.broker, "g"), SilentTelemetry()
        self.source = BusySource(self.broker, "g", ["rankings", "outcomes"], held=True)
        self.joiner = Joiner(
            self.source, dict, lambda: self.log, config, clock=self.broker.clock, telemetry=self.telemetry,
        )  # fmt: skip

    def rank(self, request: str) -> None:
        value = msgspec.json.encode(ranking(request, "c", ASKED_MS))
        self.broker.append(OutputRecord("rankings", b"c", value, partition=0))

    def close(self) -> None:
        self.joiner.close()

    def step(self, later_ms: int = ASK_EVERY_MS) -> Work | None:
        self.broker.clock.sleep(later_ms / 1_000)
        wait(self.joiner._restoring.values(), 60)
        return self.joiner.process(self.source.fetch(records_max=10, wait_s=0, linger_s=0))


def count(work: Work | None) -> int:
    return 0 if work is None else len(work.outputs)


def test_unread_outcomes_keep_windows_open() -> None:
    with closing(World()) as world:
        world.source.more = True
        assert [count(world.step()) for _ in range(6)] == [0] * 6
        world.source.more = False
        assert count(world.step()) == 1


def test_a_state_of_other_settings_is_refused() -> None:
    with closing(World()) as world:
        other = replace(world.shape, horizons=replace(HORIZONS, window_ms=99))
        world.broker.committed["g", RANKINGS] = Position(0, other.beside())
        world.step()
        with pytest.raises(UsageError, match=r"join\.window_ms was 99 and is 100"):
            world.step()


def test_a_drained_partition_commits_its_drain() -> None:
    with closing(World()) as world:
        for _ in range(4):
            world.step()
        works = [work for _ in range(3) if (work := world.step(60_000)) is not None]
        assert any(not work.records and not work.outputs for work in works)


def test_few_rankings_are_read_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(at_close, "BUFFERED_MAX", 4)
    with closing(World("at_close")) as world:
        for number in range(30):
            world.rank(f"r{number}")
        for _ in range(5):
            world.step(1)
        assert RANKINGS not in world.source.lag()
        world.step(60_000)
        assert world.source.lag()[RANKINGS] == 21


def test_a_restore_is_reported_until_done() -> None:
    with closing(World()) as world:
        world.log.gate.clear()
        world.joiner.process(world.source.fetch(records_max=10, wait_s=0, linger_s=0))
        assert world.telemetry.restores == [1]
        world.log.gate.set()
        world.step()
        assert world.telemetry.restores == [1, 0]
