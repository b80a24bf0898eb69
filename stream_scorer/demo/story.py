"""The demo, step by step: a model from history, a release, live traffic, and what it teaches, released in turn."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from stream_scorer.adapters.clock import SystemClock
from stream_scorer.adapters.kafka_feed import KafkaFeed
from stream_scorer.adapters.kafka_source import KafkaSource
from stream_scorer.adapters.plot import Series, draw_acceptance
from stream_scorer.core.codec import encode
from stream_scorer.core.world import World
from stream_scorer.demo.crowd import Crowd, CrowdTopics
from stream_scorer.demo.ring import WINDOW_MS, Ring, finished, prepare
from stream_scorer.demo.screen import Moment, Screen, short
from stream_scorer.demo.summary import Summary
from stream_scorer.demo.tally import Tally
from stream_scorer.errors import NotReady
from stream_scorer.wiring import member_config

STEP_S = 0.02
START_S_MAX = 60.0
DRAIN_S_MAX = 30.0
COMMAND_S_MAX = 180.0
SETTLE_S = 3.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What the demo is told: traffic for `seconds` in all, a retraining after each third of it."""

    out: Path
    seed: int = 0
    seconds: float = 100.0
    kafka: bool = False
    retrainings: int = 2
    customers: int = 2_000
    offers: int = 120
    history: int = 600
    rate_per_s: float = 150.0
    delay_ms: tuple[int, int] = (200, 2_000)


class Story:
    """Tells itself to a screen; `run` once."""

    def __init__(self, plan: Plan, screen: Screen) -> None:
        """Draw the world."""
        self._plan, self._screen, self._clock = plan, screen, SystemClock()
        self._world = World.of(plan.seed, customers=plan.customers, offers=plan.offers)
        self._rng = np.random.default_rng(plan.seed + 1)
        self._tally = Tally(0)
        self._crowd: Crowd
        self._ring: Ring
        self._events: list[tuple[int, int]] = []
        self._began_s = self._clock.monotonic_s()

    def run(self) -> Summary:
        """Run it all and stop whatever was started, also on the way out of an error or an interrupt."""
        plan = self._plan
        prepare(plan.out)
        with Ring(plan.out, kafka=plan.kafka) as self._ring, closing(self._screen):
            self._start_servers()
            self._write_history()
            self._release(1)
            self._serve()
            with self._customers():
                self._live_through()
                self._drain()
            self._ring.stop_steady()
        return self._summary()

    def _start_servers(self) -> None:
        if self._plan.kafka:
            self._screen.step("starting Apache Kafka and Valkey (exactly once)")
        else:
            self._screen.step("starting librdkafka's mock broker and Valkey, both embedded")
            self._screen.say("the mock broker keeps nothing on disk and knows no transactions, so the ring runs at least once here;")
            self._screen.say("`stream-scorer demo --kafka` runs it on Apache Kafka, exactly once")
        self._ring.start()
        self._screen.say(f"broker {self._ring.settings.kafka.bootstrap_servers}   settings {self._ring.config}")

    def _write_history(self) -> None:
        plan, world = self._plan, self._world
        self._screen.step(f"a simulated world: {plan.customers:,} customers, {plan.offers} offers, odds of acceptance known")
        self._screen.bounds = {"popularity ranking": world.popularity(), "best possible": world.best_possible()}
        self._screen.say("acceptance rate of the " + ", of the ".join(f"{name} {rate:.3f}" for name, rate in self._screen.bounds.items()))
        history = world.log(self._rng, plan.history, start_ms=self._clock.now_ms() - 86_400_000)
        self._ring.labels.mkdir(parents=True, exist_ok=True)
        (self._ring.labels / "history.jsonl").write_bytes(b"".join(encode(example) + b"\n" for example in history))
        (plan.out / "offers.jsonl").write_bytes(b"".join(encode(offer) + b"\n" for offer in world.offers()))

    def _release(self, number: int) -> None:
        """Train and publish; the traffic, once there is some, goes on meanwhile."""
        out = self._plan.out
        model, offers = str(out / "models" / str(number)), str(out / "offers.jsonl")
        self._command("train", "--labels", str(self._ring.labels), "--offers", offers, "--out", model)
        self._command("publish", "--model", model, "--offers", offers)

    def _command(self, *arguments: str) -> None:
        words = " ".join(word if word.startswith("-") else Path(word).name for word in arguments)
        if not self._tally.started_ms:
            self._screen.step(f"stream-scorer {words}")
        command = self._ring.run(*arguments)
        self._until(lambda: finished(command), arguments[0], COMMAND_S_MAX)

    def _serve(self) -> None:
        self._screen.step("stream-scorer serve --rankers 1 --joiners 1; stream-scorer buffer")
        self._ring.run("serve", "--rankers", "1", "--joiners", "1", steady=True)
        self._ring.run("buffer", steady=True)

    def _customers(self) -> "closing[_Both]":
        settings, plan = self._ring.settings, self._plan
        topics = settings.topics
        names = CrowdTopics(topics.requests, topics.acceptances, topics.rankings, topics.labels, topics.dead_letters)
        quiet = {"log_level": 0}  # a broker that goes away at the end is no news
        feed = KafkaFeed(settings.kafka.client_config() | quiet | {"linger.ms": 1}, topics.requests)
        source = KafkaSource(member_config(settings, "demo-customers") | quiet, [names.rankings, names.labels, names.dead_letters])
        self._crowd = Crowd(
            self._world, self._rng, feed, source, topics=names, rate_per_s=plan.rate_per_s, delay_ms=plan.delay_ms, clock=self._clock
        )
        return closing(_Both(feed, source.close))

    def _live_through(self) -> None:
        plan = self._plan
        self._screen.step(f"customers arrive, {plan.rate_per_s:g} requests a second; they answer by their odds")
        self._tally.started_ms = self._clock.now_ms()
        self._until(lambda: self._crowd.sent[self._ring.settings.topics.requests] > 0, "the first customer", START_S_MAX)
        self._until(lambda: self._serves(1), "waiting for the first ranking", START_S_MAX, sending=False)
        share_s = plan.seconds / (plan.retrainings + 1)
        for number in range(1, plan.retrainings + 2):
            end_s = self._clock.monotonic_s() + share_s
            if number > 1:
                self._release(number)
                self._until(partial(self._serves, number), "the rankers swap", START_S_MAX)
            self._until(partial(self._past, end_s), "serving", share_s + START_S_MAX)

    def _serves(self, number: int) -> bool:
        return len(self._tally.releases) >= number

    def _past(self, end_s: float) -> bool:
        return self._clock.monotonic_s() >= end_s

    def _drain(self) -> None:
        """Let what is under way arrive: rankings, answers, and labels until the last window has closed."""
        crowd = self._crowd
        self._until(lambda: not crowd.waiting and not crowd.unanswered, "last answers", DRAIN_S_MAX, sending=False, strict=False)
        self._until(lambda: not crowd.open_labels, "last windows close", DRAIN_S_MAX + WINDOW_MS / 1000, sending=False, strict=False)

    def _until(self, done: Callable[[], bool], note: str, seconds_max: float, *, sending: bool = True, strict: bool = True) -> None:
        """Let time and traffic go on until `done`; too long is NotReady, or just the end where not `strict`."""
        deadline_s = self._clock.monotonic_s() + seconds_max
        while not done():
            if self._clock.monotonic_s() > deadline_s:
                if strict:
                    raise NotReady(f"{note}: not within {seconds_max:g} s; see {self._plan.out / 'logs'}")
                return
            self._ring.check()
            if not self._tally.started_ms:
                self._clock.sleep(STEP_S)
                continue
            self._tally.add(self._crowd.step(wait_s=STEP_S, sending=sending))
            self._screen.show(self._moment(note))

    def _moment(self, note: str) -> Moment:
        crowd, now_ms = self._crowd, self._clock.now_ms()
        topics = self._ring.settings.topics
        self._events.append((now_ms, crowd.sent[topics.requests] + crowd.sent[topics.acceptances]))
        while self._events[-1][0] - self._events[0][0] > 10_000:
            self._events.pop(0)
        (then_ms, then), (_, now) = self._events[0], self._events[-1]
        for place, release_id in enumerate(self._tally.releases, 1):
            self._screen.names.setdefault(release_id, f"release {place}")
        rate = 1_000 * (now - then) / max(1, now_ms - then_ms)
        return Moment(now_ms, note, rate, crowd.waiting, sum(crowd.labels().values()), self._tally)

    def _summary(self) -> Summary:
        plan, tally, world = self._plan, self._tally, self._world
        seconds = tally.seconds()
        marks = [
            ((release.first_seen_ms - tally.started_ms) / 1000, f"release {place}\n{short(release.release_id)}")
            for place, release in enumerate(tally.releases.values(), 1)
        ]
        plot = plan.out / "acceptance.png"
        shown, accepted = [one.shown for one in seconds], [one.accepted for one in seconds]
        draw_acceptance(Series(shown, accepted, marks, world.best_possible(), world.popularity()), plot)
        return Summary.of(
            tally,
            self._crowd,
            best_possible=world.best_possible(),
            popularity=world.popularity(),
            delivery=self._ring.settings.loop.delivery,
            seconds=self._clock.monotonic_s() - self._began_s,
            out=plan.out,
            plot=plot,
            topics=self._ring.settings.topics,
        )


@dataclass(frozen=True, slots=True)
class _Both:
    """The customers' two clients."""

    feed: KafkaFeed
    leave: Callable[[], None]

    def close(self) -> None:
        """Deliver what was sent and leave the group."""
        self.feed.flush()
        self.leave()
