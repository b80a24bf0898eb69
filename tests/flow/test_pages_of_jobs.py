"""Every job answers /startupz, /livez and /readyz with the same meaning, and 404 for all else."""

from collections.abc import Callable, Iterator
from concurrent.futures import wait
from dataclasses import dataclass
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from stream_scorer.adapters.local.clock import HandClock
from stream_scorer.adapters.memory.buffer import MemoryBuffer
from stream_scorer.adapters.memory.releases import MemoryReleases
from stream_scorer.adapters.memory.stream import MemoryBroker, MemoryLog, MemorySink, MemorySource
from stream_scorer.core.ranking.encoding import ALL_FEATURES
from stream_scorer.health import Checks, Health, pages_of
from stream_scorer.http_door.door_metrics import DoorHealth
from stream_scorer.services.streaming.buffer import Buffer, BufferConfig
from stream_scorer.services.streaming.join_restore import JoinConfig
from stream_scorer.services.streaming.joiner import Joiner
from stream_scorer.services.streaming.loop import Job, Loop
from stream_scorer.services.streaming.ranker import RankConfig, Ranker
from stream_scorer.services.streaming.refresher import RefreshConfig, Refresher
from stream_scorer.services.streaming.release_watch import ReleaseWatch
from stream_scorer.services.streaming.worker_pages import WorkerPages
from stream_scorer.telemetry.prometheus import PrometheusTelemetry
from stream_scorer.topic_settings import TopicSettings
from tests.flow.memory_ring import BOUNDS, HORIZONS
from tests.ranking_worlds import TOPICS
from tests.release_samples import published

STALLED_AFTER_S = 60
PAGES = ("/startupz", "/livez", "/readyz")


class World:
    """What a job of any kind needs: a broker, a store with a release, and the telemetry that feeds its pages."""

    def __init__(self) -> None:
        self.clock = HandClock(1_800_000_000_000)
        self.broker = MemoryBroker(2, self.clock)
        self.store = MemoryReleases()
        published(self.store)
        self.health = Health(self.clock, stalled_after_s=STALLED_AFTER_S)
        self.telemetry = PrometheusTelemetry(CollectorRegistry(), health=self.health, clock=self.clock)

    def step_of(self, job: Job, source: MemorySource) -> Callable[[], None]:
        """Return a function that lets the job's loop come round once."""
        loop = Loop(job, source, MemorySink(self.broker), bounds=BOUNDS, clock=self.clock, telemetry=self.telemetry)

        def step() -> None:
            answers = iter((False, True))
            loop.run(stopping=lambda: next(answers))

        return step


@dataclass
class Running:
    """A job: its pages, one round of its loop, and whether it has one at all."""

    checks: Checks
    step: Callable[[], None]
    loops: bool = True
    close: Callable[[], None] = lambda: None


def rank(world: World) -> Running:
    watch = ReleaseWatch(world.store, world.clock, poll_s=0.1)
    watch.poll()
    source = MemorySource(world.broker, "rank", [TOPICS.requests, TOPICS.acceptances])
    config = RankConfig(TOPICS, "dead-letters", ALL_FEATURES, 1_000_000)
    ranker = Ranker(watch, source.rewind, config, telemetry=world.telemetry)
    return Running(world.health, world.step_of(ranker, source))


def join(world: World) -> Running:
    source = MemorySource(world.broker, "join", ["rankings", "outcomes"], held=True)
    config = JoinConfig(TopicSettings(), "dead-letters", HORIZONS, 1_000)
    joiner = Joiner(
        source, dict, lambda: MemoryLog(world.broker, "join"), config, clock=world.clock, telemetry=world.telemetry
    )
    once = world.step_of(joiner, source)

    def step() -> None:
        once()
        wait(joiner._restoring.values(), 60)
        once()  # takes in what is restored by now

    return Running(world.health, step, close=joiner.close)


def buffer(world: World) -> Running:
    source = MemorySource(world.broker, "buffer", ["training-labels"], held=True)
    config = BufferConfig("dead-letters", 10_000, 10_000_000, 0.5, 1.0)
    job = Buffer(source, MemoryLog(world.broker, "buffer"), MemoryBuffer(), config, clock=world.clock)
    return Running(world.health, world.step_of(job, source))


def refresh(world: World) -> Running:
    source = MemorySource(world.broker, "refresh", ["offers"], held=True)
    config = RefreshConfig("offers", "dead-letters", poll_s=0.2)
    job = Refresher(world.store, source, MemoryLog(world.broker, "refresh"), config, clock=world.clock)
    return Running(world.health, world.step_of(job, source))


def retrain(world: World) -> Running:
    return Running(world.health, lambda: world.telemetry.retrained(None), loops=False)


def http(world: World) -> Running:
    health = DoorHealth(world.clock, stalled_after_s=STALLED_AFTER_S)
    return Running(health, lambda: health.begin(str))


def serve(world: World) -> Running:
    worker = rank(world)

    class InThisProcess:
        """See Workers: one, whose pages are asked without a socket."""

        def ask(self, name: str, path: str) -> tuple[int, str] | None:
            return ask(worker.checks, path)

        def age_s(self, name: str) -> float:
            return 0.0

    pages = WorkerPages(["rank-0"], InThisProcess(), stalled_after_s=STALLED_AFTER_S)
    return Running(pages, worker.step)


def ask(checks: Checks, path: str) -> tuple[int, str]:
    status: list[str] = []
    environ: dict[str, Any] = {"PATH_INFO": path, "REQUEST_METHOD": "GET", "QUERY_STRING": ""}
    body = b"".join(pages_of(checks, CollectorRegistry())(environ, lambda line, headers: status.append(line)))
    return int(status[0].split()[0]), body.decode()


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture(params=[rank, join, buffer, refresh, retrain, http, serve], ids=lambda make: make.__name__)
def running(request: pytest.FixtureRequest, world: World) -> Iterator[Running]:
    started: Running = request.param(world)
    yield started
    started.close()


def codes(running: Running) -> tuple[int, ...]:
    return tuple(ask(running.checks, path)[0] for path in PAGES)


def test_before_its_first_round_nothing_is_ready(running: Running) -> None:
    assert codes(running) == (503, 200, 503)


def test_after_a_round_a_job_is_ready(running: Running) -> None:
    running.step()
    assert codes(running) == (200, 200, 200)


def test_a_loop_that_stands_still_is_dead(running: Running, world: World) -> None:
    running.step()
    world.clock.sleep(STALLED_AFTER_S + 1)
    assert codes(running) == ((200, 503, 503) if running.loops else (200, 200, 200))


@pytest.mark.parametrize("path", ["/", "/healthz", "/livez/", "/rank"])
def test_all_other_paths_are_404(running: Running, path: str) -> None:
    assert ask(running.checks, path)[0] == 404
