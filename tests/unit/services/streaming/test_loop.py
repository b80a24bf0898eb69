"""The loop and the joiner on memory adapters: what happens when a batch is not written."""

from collections.abc import Callable
from concurrent.futures import wait

import msgspec
import pytest
from structlog.testing import capture_logs

from stream_scorer.adapters.local.clock import HandClock
from stream_scorer.adapters.memory.stream import MemoryBroker, MemoryLog, MemorySink, MemorySource
from stream_scorer.core.joining.labelling import Horizons
from stream_scorer.core.records import OutputRecord, Partition
from stream_scorer.errors import BatchAborted, FatalStreamError
from stream_scorer.services.streaming.join_restore import Emit, JoinConfig
from stream_scorer.services.streaming.joiner import Joiner
from stream_scorer.services.streaming.loop import ABORTS_IN_A_ROW_MAX, Loop, LoopBounds
from stream_scorer.topic_settings import TopicSettings
from tests.doubles import SilentTelemetry
from tests.ring import START_MS, acceptance

TOPICS = TopicSettings()
HORIZONS = Horizons(60_000, 60_000, 1_000, 1_000, 100, 1_000, 0)
BOUNDS = LoopBounds(batch_records_max=3, linger_s=0, poll_s=0.1, write_attempts_max=2)


def ranking(number: int) -> bytes:
    offers = [{"offer_id": "o", "rank": 1, "score": 0.5, "propensity": 1.0, "features": {}}]
    return msgspec.json.encode(
        {
            "request_id": f"q-{number}",
            "customer_id": f"c-{number % 97}",
            "event_time_ms": START_MS + number,
            "release_id": "r",
            "status": "ranked",
            "eligible_count": 1,
            "excluded": {},
            "features": {},
            "offers": offers,
        }
    )


class World:
    """A broker with ten rankings and their acceptances, and a joiner beside it."""

    def __init__(self) -> None:
        self.clock = HandClock(START_MS + 1_000)
        self.broker = MemoryBroker(2, self.clock)
        for number in range(10):
            key = f"c-{number % 97}".encode()
            self.broker.append(OutputRecord("rankings", key, ranking(number)))
            self.broker.append(OutputRecord("outcomes", key, msgspec.json.encode(acceptance(number, "o"))))
        self.sink = MemorySink(self.broker)
        self.telemetry = SilentTelemetry()

    def run(self, stopping: Callable[[], bool] = lambda: False, *, held_max: int = 100, emit: Emit = "at_once") -> None:
        source = MemorySource(self.broker, "g", ["rankings", "outcomes"], held=True)
        config = JoinConfig(TOPICS, "dead-letters", HORIZONS, held_max=held_max, emit=emit)
        joiner = Joiner(
            source,
            self.sink.end_offsets,
            lambda: MemoryLog(self.broker, "g"),
            config,
            clock=self.clock,
            telemetry=self.telemetry,
        )
        loop = Loop(joiner, source, self.sink, bounds=BOUNDS, clock=self.clock, telemetry=self.telemetry)

        def stopped() -> bool:
            wait(joiner._restoring.values(), 60)  # else the clock, which is not the restore's, goes on meanwhile
            return stopping()

        try:
            loop.run(stopping=stopped, until_idle_s=5.0)
        finally:
            joiner.close()

    def labelled(self) -> list[str]:
        labels = [msgspec.json.decode(record.value or b"") for record in self.broker.topic("training-labels")]
        assert len({(label["request_id"], label["revision"]) for label in labels}) == len(labels), (
            "a revision is doubled"
        )
        return sorted(label["request_id"] for label in labels if label["revision"] == 1)


EVERY_REQUEST = sorted(f"q-{number}" for number in range(10))


def test_lag_comes_with_times_of_records() -> None:
    world = World()
    world.run()
    places = {Partition(topic, number) for topic in ("rankings", "outcomes") for number in (0, 1)}
    assert world.telemetry.read_ms == dict.fromkeys(places, START_MS + 1_000)
    assert world.telemetry.lag == dict.fromkeys(places, 0)


def test_every_acceptance_becomes_a_label() -> None:
    world = World()
    world.run()
    assert world.labelled() == EVERY_REQUEST


def test_closing_windows_keep_no_idle_joiner_running() -> None:
    world = World()
    world.clock.set(START_MS + 120_000)
    for second in range(1, 120):
        world.broker.append(OutputRecord("rankings", b"c", ranking(1_000 * second)))
    world.run(held_max=1_000)
    assert len(EVERY_REQUEST) < len(world.labelled()) < len(EVERY_REQUEST) + 119  # how far the clock goes is chance
    assert world.clock.now_ms() < START_MS + 135_000


@pytest.mark.parametrize(("lost", "attempts"), [(False, [1, 2, 1, 2, 1]), (True, [1, 1, 1, 1, 1])])
def test_aborted_batches_are_written_again_once(lost: bool, attempts: list[int]) -> None:
    world = World()
    world.sink.aborts_next = [BatchAborted("no luck", membership_lost=lost)] * 5
    with capture_logs() as logs:
        world.run()
    assert [line["attempt"] for line in logs if line["event"] == "batch_aborted"] == attempts
    assert world.labelled() == EVERY_REQUEST


def test_each_try_to_write_is_timed() -> None:
    world = World()
    world.sink.aborts_next = [BatchAborted("no luck")]
    world.run()
    failed, written = world.telemetry.sendings[:2]
    assert (failed[0], failed[1], written[1]) == (written[0], "BatchAborted", "")
    assert set(world.telemetry.operations) == {("poll", ""), ("process", ""), ("send", "BatchAborted"), ("send", "")}


def test_a_loop_whose_batches_never_succeed_ends() -> None:
    world = World()
    world.sink.aborts_next = [BatchAborted("never")] * BOUNDS.write_attempts_max * (ABORTS_IN_A_ROW_MAX + 1)
    with pytest.raises(FatalStreamError, match="in a row"):
        world.run()


def test_a_stopped_loop_resumes_where_it_was() -> None:
    world = World()
    for steps in range(1, 30):
        left = iter(range(steps % 7))
        world.run(stopping=lambda left=left: next(left, None) is None)  # type: ignore[misc]
    world.run()
    assert world.labelled() == EVERY_REQUEST


def test_too_many_open_requests_end_a_joiner() -> None:
    world = World()
    for number in range(200):
        world.broker.append(OutputRecord("rankings", b"c", ranking(1_000 + number), partition=0))
    with pytest.raises(FatalStreamError, match="run more joiners"):
        world.run()


@pytest.mark.parametrize("emit", ["at_once", "at_close"])
def test_orphaned_answers_drain_as_dead_letters(emit: Emit) -> None:
    world = World()
    for number in range(100, 160):
        value = {**acceptance(number, "o"), "request_time_ms": START_MS}
        world.broker.append(OutputRecord("outcomes", b"c", msgspec.json.encode(value)))
    world.run(held_max=40, emit=emit)
    headers = [dict(letter.headers) for letter in world.broker.topic("dead-letters")]
    sources = [(header["source.partition"], header["source.offset"]) for header in headers]
    assert [header["error.code"] for header in headers].count(b"too_many_waiting") >= 20
    assert len(set(sources)) == len(sources)


@pytest.mark.parametrize("emit", ["at_once", "at_close"])
@pytest.mark.parametrize(
    "value", [None, b"", b"no JSON", b"{}", b"[" * 2_000], ids=["null", "empty", "text", "bare", "deep"]
)
def test_foreign_records_end_no_joiner(value: bytes | None, emit: Emit) -> None:
    world = World()
    for topic in ("rankings", "outcomes", "training-labels"):
        world.broker.append(OutputRecord(topic, b"c", value, partition=0))
    world.run(emit=emit)
    world.broker.append(OutputRecord("training-labels", b"c", value, partition=0))
    world.broker.append(OutputRecord("rankings", b"c", ranking(10), partition=0))
    world.run(emit=emit)
    sources = sorted(dict(letter.headers)["source.topic"] for letter in world.broker.topic("dead-letters"))
    # at the close a ranking waits for those before it
    assert sources == [b"outcomes", b"rankings"] if emit == "at_once" else [b"outcomes"]


def test_progress_is_committed_for_both_topics_together() -> None:
    world = World()
    world.run()
    for number in range(2):
        rankings, outcomes = (
            world.broker.committed["g", Partition(topic, number)].offset for topic in ("rankings", "outcomes")
        )
        assert rankings == outcomes == len(world.broker.log(Partition("rankings", number)))
