"""What the doctor says of the ring's state."""

from collections.abc import Callable

import pytest

from stream_scorer.adapters.local.clock import HandClock
from stream_scorer.adapters.memory.buffer import MemoryBuffer
from stream_scorer.adapters.memory.releases import MemoryReleases
from stream_scorer.adapters.memory.stream import MemoryBroker, MemoryLog
from stream_scorer.core.joining.ring_shape import RingShape
from stream_scorer.core.records import TopicShape
from stream_scorer.errors import UsageError
from stream_scorer.services.operating.doctor_ring import RingState, ring_findings
from stream_scorer.services.streaming.ring_check import Standing
from tests.release_samples import published

WELL = Standing(RingShape(4), TopicShape(4))


class World:
    """A healthy ring, to be harmed in one place."""

    def __init__(self) -> None:
        self.broker, self.buffer, self.releases = MemoryBroker(4, HandClock()), MemoryBuffer(), MemoryReleases()
        self.buffer.state_topic("labels", "labels-0")
        published(self.releases)
        current = self.releases.current()
        assert current is not None
        self.releases.change(current, [], progress={}, topic_id="offers-0")

    def states(self, standing: Callable[[], Standing] = lambda: WELL) -> list[tuple[str, str]]:
        log = MemoryLog(self.broker, "buffer")
        state = RingState(standing, log, self.buffer, self.releases, "labels", "offers")
        return [(finding.check, finding.state) for finding in ring_findings(state)]


@pytest.fixture
def world() -> World:
    return World()


def test_an_unchanged_ring_is_well(world: World) -> None:
    assert world.states() == [("ring", "ok")]


def test_topics_that_have_grown_are_a_warning(world: World) -> None:
    assert world.states(lambda: Standing(RingShape(4), TopicShape(8))) == [("ring", "warning")]


def test_changed_settings_are_a_fault(world: World) -> None:
    def refuse() -> Standing:
        raise UsageError("join.window_ms was 1 and is 2")

    assert world.states(refuse) == [("ring", "fault")]


def test_a_recreated_topic_is_named(world: World) -> None:
    world.broker.make_anew("labels")
    world.broker.make_anew("offers")
    assert world.states()[1:] == [("buffer", "fault"), ("refresh", "warning")]
