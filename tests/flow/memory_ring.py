"""The whole ring in one thread: the streaming jobs themselves, on ports in memory and on a clock set by hand."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from stream_scorer.adapters.local.clock import HandClock
from stream_scorer.adapters.memory.buffer import MemoryBuffer
from stream_scorer.adapters.memory.releases import MemoryReleases
from stream_scorer.adapters.memory.stream import MemoryBroker, MemoryLog, MemorySink, MemorySource
from stream_scorer.core.buffer.examples import ExampleRow
from stream_scorer.core.joining.labelling import Horizons
from stream_scorer.core.ranking.encoding import ALL_FEATURES
from stream_scorer.core.ranking.pipeline import RankTopics
from stream_scorer.core.records import OutputRecord
from stream_scorer.demo.crowd import Crowd, CrowdTopics
from stream_scorer.demo.tally import Tally
from stream_scorer.services.streaming.buffer import Buffer, BufferConfig
from stream_scorer.services.streaming.join_restore import JoinConfig
from stream_scorer.services.streaming.joiner import Joiner
from stream_scorer.services.streaming.loop import Loop, LoopBounds
from stream_scorer.services.streaming.ranker import RankConfig, Ranker
from stream_scorer.services.streaming.release_watch import ReleaseWatch
from stream_scorer.simulation.world import World
from stream_scorer.topic_settings import TopicSettings
from tests.doubles import SilentTelemetry

PARTITIONS = 2
START_MS = 1_800_000_000_000
HORIZONS = Horizons(
    window_ms=3_000, late_ms=1_000, disorder_ms=1_000, back_ms=1_000, tick_ms=100, skew_ms=60_000, idle_slack_ms=100
)
TOPICS = CrowdTopics("customer-requests", "acceptances", "rankings", "training-labels", "dead-letters")
BOUNDS = LoopBounds(batch_records_max=200, linger_s=0.0, poll_s=0.005, write_attempts_max=1)


class BrokerFeed:
    """A RecordFeed that writes to the memory broker."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker

    def send(self, records: Sequence[OutputRecord]) -> None:
        for record in records:
            self._broker.append(record)

    def flush(self) -> None: ...

    def failures(self) -> Counter[str]:
        return Counter()


class MemoryRing:
    """A ranker, a joiner, a buffer, and the customers of a simulated world."""

    def __init__(self, world: World, *, seed: int = 0, rate_per_s: float = 100.0) -> None:
        self.clock = HandClock(START_MS)
        self.broker = MemoryBroker(PARTITIONS, self.clock)
        self.releases, self.files, self.tally = MemoryReleases(), MemoryBuffer(), Tally(START_MS)
        source = MemorySource(self.broker, "crowd", [TOPICS.rankings, TOPICS.labels, TOPICS.dead_letters])
        self.crowd = Crowd(
            world, np.random.default_rng(seed), BrokerFeed(self.broker), source, topics=TOPICS,
            rate_per_s=rate_per_s, delay_ms=(100, 900), clock=self.clock,
        )  # fmt: skip
        self._watch = ReleaseWatch(self.releases, self.clock, poll_s=0.1)
        self._joiner, join_loop = self._join()
        self._loops = [self._rank(), join_loop, self._buffer()]

    def serve(self, seconds: float, *, sending: bool = True) -> None:
        """Run all jobs for so many seconds of the clock; each step first looks for a new release."""
        until_s = self.clock.monotonic_s() + seconds
        while self.clock.monotonic_s() < until_s:
            self._watch.poll()
            self.tally.add(self.crowd.step(wait_s=0.05, sending=sending))
            for loop in self._loops:
                loop.run(stopping=_once())

    def drain(self) -> None:
        """Send nothing more, and run until everything under way has arrived, the last window's labels included."""
        self.serve((HORIZONS.window_ms + HORIZONS.disorder_ms) / 1000 + 2, sending=False)

    def examples(self) -> list[ExampleRow]:
        """Return the latest revision of each example in the buffer."""
        latest: dict[str, ExampleRow] = {}
        for rows in self.files.read():
            for row in rows:
                if row.example_id not in latest or row.revision > latest[row.example_id].revision:
                    latest[row.example_id] = row
        return list(latest.values())

    def close(self) -> None:
        self._joiner.close()

    def _rank(self) -> Loop[MemorySource]:
        source = MemorySource(self.broker, "rank", [TOPICS.requests, TOPICS.acceptances])
        topics = RankTopics(TOPICS.requests, TOPICS.acceptances, TOPICS.rankings, "outcomes")
        ranker = Ranker(
            self._watch,
            source.rewind,
            RankConfig(topics, TOPICS.dead_letters, ALL_FEATURES, 1_000_000),
            telemetry=SilentTelemetry(),
        )
        return self._loop(ranker, source, MemorySink(self.broker))

    def _join(self) -> tuple[Joiner, Loop[MemorySource]]:
        source, sink = (
            MemorySource(self.broker, "join", [TOPICS.rankings, "outcomes"], held=True),
            MemorySink(self.broker),
        )
        config = JoinConfig(TopicSettings(), TOPICS.dead_letters, HORIZONS, 1_000_000)
        joiner = Joiner(
            source,
            sink.end_offsets,
            lambda: MemoryLog(self.broker, "join"),
            config,
            clock=self.clock,
            telemetry=SilentTelemetry(),
        )
        return joiner, self._loop(joiner, source, sink)

    def _buffer(self) -> Loop[MemorySource]:
        source, reader = (
            MemorySource(self.broker, "buffer", [TOPICS.labels], held=True),
            MemoryLog(self.broker, "buffer"),
        )
        buffer = Buffer(
            source,
            reader,
            self.files,
            BufferConfig(TOPICS.dead_letters, 10_000, 10_000_000, 0.5, 1.0),
            clock=self.clock,
        )
        return self._loop(buffer, source, MemorySink(self.broker))

    def _loop(self, job: Ranker | Joiner | Buffer, source: MemorySource, sink: MemorySink) -> Loop[MemorySource]:
        return Loop(job, source, sink, bounds=BOUNDS, clock=self.clock, telemetry=SilentTelemetry())


def _once() -> Callable[[], bool]:
    answers: Iterator[bool] = iter((False, True))
    return lambda: next(answers)
