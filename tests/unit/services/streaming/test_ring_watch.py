"""Topics that change under a ring, on a broker in memory."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from stream_scorer.adapters.local.clock import HandClock
from stream_scorer.adapters.memory.stream import MemoryBroker, MemoryLog
from stream_scorer.core.joining.labelling import Horizons
from stream_scorer.core.joining.ring_shape import RingShape
from stream_scorer.core.ranking.pipeline import RankTopics
from stream_scorer.core.records import Partition, Position, TopicShape
from stream_scorer.errors import FatalStreamError, TransientError, UsageError
from stream_scorer.services.streaming.ring_check import LOOK_EVERY_S, RingWatch, Standing, shape_now, standing
from stream_scorer.topic_settings import TopicSettings

NAMES = RankTopics("customer-requests", "acceptances", "rankings", "outcomes")
HORIZONS = Horizons(1_000, 2_000, 100, 100, 1, 50, 2_000)


class FailingLog(MemoryLog):
    """A reader whose broker can be away."""

    away = False

    def topics(self, names: Sequence[str]) -> dict[str, TopicShape]:
        if self.away:
            raise TransientError("no broker answers")
        return super().topics(names)


class World:
    """A ring of four partitions, and the watch of a worker in it."""

    def __init__(self) -> None:
        self.broker = MemoryBroker(4, HandClock())
        self.log = FailingLog(self.broker, "join")
        self.watch = RingWatch(self.log, TopicSettings(), self.shape(), clock=self.broker.clock)

    def shape(self) -> RingShape:
        return replace(shape_now(self.log, TopicSettings()), emit="at_once", horizons=HORIZONS)

    def look(self, after_s: float = LOOK_EVERY_S) -> list[str]:
        """Look again, and return the events that were logged."""
        self.broker.clock.sleep(after_s)
        with capture_logs() as logs:
            self.watch.look()
        return [line["event"] for line in logs]

    def write(self, group: str, topic: str, shape: RingShape) -> None:
        """Commit a position that states a shape."""
        self.broker.committed[group, Partition(topic, 0)] = Position(1, shape.beside())

    def stands(self) -> Standing:
        return standing(self.log, MemoryLog(self.broker, "rank"), NAMES, self.shape())


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize("topic", ["rankings", "outcomes", "training-labels"])
def test_a_topic_made_anew_ends_a_worker(world: World, topic: str) -> None:
    assert world.look() == []
    world.broker.make_anew(topic)
    with pytest.raises(FatalStreamError, match="is another topic than it was"):
        world.look()


def test_growth_is_logged_once_each_time(world: World) -> None:
    world.broker.partitions = 8
    assert [world.look(), world.look()] == [["topics_grown"], []]
    world.broker.partitions = 16
    assert world.look() == ["topics_grown"]


def test_the_broker_is_asked_now_and_then(world: World) -> None:
    world.broker.make_anew("rankings")
    assert world.look(LOOK_EVERY_S - 0.1) == []
    with pytest.raises(FatalStreamError):
        world.look(0.1)


def test_an_absent_broker_is_no_change(world: World) -> None:
    world.log.away = True
    assert world.look() == []
    world.log.away = False
    world.broker.make_anew("rankings")
    assert world.look(LOOK_EVERY_S - 0.1) == []


@pytest.mark.parametrize(("group", "topic"), [("join", "rankings"), ("rank", "customer-requests")])
def test_a_grown_ring_keeps_its_written_count(world: World, group: str, topic: str) -> None:
    world.write(group, topic, replace(world.shape(), partitions=2))
    stands = world.stands()
    assert (stands.shape.partitions, stands.topics.partitions, bool(stands.grown)) == (2, 4, True)


def test_joiners_count_before_rankers(world: World) -> None:
    world.write("join", "rankings", replace(world.shape(), partitions=3))
    world.write("rank", "acceptances", replace(world.shape(), partitions=2))
    assert world.stands().shape.partitions == 3


def test_a_new_ring_takes_its_topics_shape(world: World) -> None:
    assert world.stands() == Standing(world.shape(), TopicShape(4))


def test_only_joiners_state_binds_a_ring(world: World) -> None:
    world.write("rank", "acceptances", RingShape(2, {"rankings": "gone"}))
    assert world.stands().shape.partitions == 4
    world.write("join", "rankings", replace(world.shape(), emit="at_close"))
    with pytest.raises(UsageError, match=r"join\.emit was at_close and is at_once"):
        world.stands()
