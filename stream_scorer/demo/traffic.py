"""Live traffic: customers on the ring, their figures, and the screen that shows them."""

from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from types import TracebackType
from typing import Self

import numpy as np

from stream_scorer.adapters.kafka.feed import KafkaFeed
from stream_scorer.adapters.kafka.source import KafkaSource
from stream_scorer.adapters.local.clock import SystemClock
from stream_scorer.demo.crowd import Crowd, CrowdTopics
from stream_scorer.demo.ring import STEP_S, Ring
from stream_scorer.demo.screen import Moment, Screen
from stream_scorer.demo.tally import RECENT_S, Tally
from stream_scorer.simulation.world import World
from stream_scorer.wiring.brokers import member_config

START_S_MAX = 60.0
DRAIN_S_MAX = 30.0


class Traffic:
    """Customers that send and answer during `until`; use it in a `with` block."""

    def __init__(
        self,
        world: World,
        rng: np.random.Generator,
        ring: Ring,
        screen: Screen,
        *,
        rate_per_s: float,
        delay_ms: tuple[int, int],
    ) -> None:
        """Connect the customers."""
        self._ring, self._screen, self._clock = ring, screen, SystemClock()
        self.tally = Tally()
        self._events: deque[tuple[int, int]] = deque()
        topics, kafka = ring.settings.topics, ring.settings.kafka
        self._topics = CrowdTopics(
            topics.requests, topics.acceptances, topics.rankings, topics.labels, topics.dead_letters
        )
        quiet = {"log_level": 0}  # the broker goes away at the end as planned
        # a client's linger would count as the ring's latency
        self._feed = KafkaFeed(kafka.client_config() | quiet | {"linger.ms": 1}, topics.requests)
        read = [topics.rankings, topics.labels, topics.dead_letters]
        self._source = KafkaSource(member_config(ring.settings, "demo-customers") | quiet, read)
        self.crowd = Crowd(
            world,
            rng,
            self._feed,
            self._source,
            topics=self._topics,
            rate_per_s=rate_per_s,
            delay_ms=delay_ms,
            clock=self._clock,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with ExitStack() as clients:
            clients.callback(self._source.close)
            if error is None:
                self._feed.flush()

    def open(self) -> None:
        """Send one request, and begin the traffic once it has its ranking. Raises NotReady for none in time."""
        self.until(lambda: self.crowd.sent[self._topics.requests] > 0, "the first customer", START_S_MAX)
        self.until(partial(self.served_by, 1), "waiting for the first ranking", START_S_MAX, sending=False)

    def serve(self, seconds: float) -> None:
        """Let customers come for this many seconds."""
        self.until(self._past(seconds), "serving", seconds + START_S_MAX)

    def served_by(self, releases: int) -> bool:
        """Return whether this many releases have made rankings."""
        return len(self.tally.releases) >= releases

    def until(self, done: Callable[[], bool], note: str, seconds_max: float, *, sending: bool = True) -> None:
        """Let customers come until `done`. Raises NotReady when that takes too long, and what `Ring.check` raises."""
        self._ring.until(done, note, seconds_max, meanwhile=partial(self._step, note, sending=sending))

    def drain(self) -> None:
        """Wait until the last window has closed, at most DRAIN_S_MAX; what is missing then is counted."""
        crowd, late = self.crowd, self._past(DRAIN_S_MAX)
        self.until(
            lambda: late() or not (crowd.waiting or crowd.unanswered), "last answers", 2 * DRAIN_S_MAX, sending=False
        )
        self.until(lambda: late() or not crowd.open_labels, "last windows close", 2 * DRAIN_S_MAX, sending=False)

    def _past(self, seconds: float) -> Callable[[], bool]:
        end_s = self._clock.monotonic_s() + seconds
        return lambda: self._clock.monotonic_s() >= end_s

    def _step(self, note: str, *, sending: bool) -> None:
        self.tally.add(self.crowd.step(wait_s=STEP_S, sending=sending))
        if self._screen.due(now_ms := self._clock.now_ms()):
            self._screen.show(self._moment(note, now_ms))

    def _moment(self, note: str, now_ms: int) -> Moment:
        crowd = self.crowd
        events = self._events
        events.append((now_ms, crowd.sent[self._topics.requests] + crowd.sent[self._topics.acceptances]))
        while now_ms - events[0][0] > 1_000 * RECENT_S:
            events.popleft()
        rate_per_s = 1_000 * (events[-1][1] - events[0][1]) / max(1, now_ms - events[0][0])
        return Moment(now_ms, note, rate_per_s, crowd.waiting, crowd.labels.total(), self.tally)
