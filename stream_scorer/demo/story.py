"""The demo, step by step: a model from history, a release, live traffic, and releases that learn from it."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from stream_scorer.adapters.files.model_files import read_model
from stream_scorer.adapters.local.clock import SystemClock
from stream_scorer.adapters.local.own_command import OwnCommand
from stream_scorer.adapters.plots.acceptance import Series, draw_acceptance
from stream_scorer.core.towers.model import Model
from stream_scorer.core.wire.codec import encode, encode_without_absent
from stream_scorer.demo.ring import OUTPUT_MAX, Ring, ended, prepare, refusal
from stream_scorer.demo.screen import Screen
from stream_scorer.demo.second_stage import added_by_reranker, kind_of
from stream_scorer.demo.summary import Summary
from stream_scorer.demo.tally import Tally
from stream_scorer.demo.traffic import START_S_MAX, Traffic
from stream_scorer.errors import NotReady
from stream_scorer.simulation.world import World

COMMAND_S_MAX = 300.0
END_S = 15.0
GROWTH = 2.5  # each training takes so many times as long as the one before, by its labels
DAY_MS = 86_400_000
RIDGE = 5.0  # how much customers' log-odds rise at their price: what the towers cannot hold, and a re-ranker can

Until = Callable[[Callable[[], bool], str, float], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """The demo's options: `seconds` of traffic besides the trainings, shared equally by the releases.

    No training begins by which start, trainings and end would take longer than `besides_s_max`, but for the first on
    customers' answers. Of several retrainings the last that fits in trains a re-ranker, too.
    """

    out: Path
    seed: int = 0
    seconds: float = 75.0
    besides_s_max: float = 180.0
    kafka: bool = False
    retrainings: int = 2
    customers: int = 2_000
    offers: int = 120
    history: int = 600
    rate_per_s: float = 120.0
    delay_ms: tuple[int, int] = (200, 2_000)


class Story:
    """Runs the demo once, and shows it on a screen."""

    def __init__(self, plan: Plan, screen: Screen) -> None:
        """Draw the simulated world."""
        self._plan, self._screen, self._clock = plan, screen, SystemClock()
        self._world = World.of(plan.seed, customers=plan.customers, offers=plan.offers, ridge=RIDGE)
        self._rng = np.random.default_rng(plan.seed + 1)
        self._began_s = self._clock.monotonic_s()
        self._served: list[Model] = []  # the models of the releases, in order
        self._training_s = 0.0  # of the latest training and its release

    def run(self) -> Summary:
        """Run every step, and stop what was started, after an error or an interrupt too."""
        plan = self._plan
        prepare(plan.out)
        with Ring(plan.out, kafka=plan.kafka) as ring, closing(self._screen):
            self._start(ring)
            self._write_history(ring)
            if not self._release(ring, 1, ring.until):
                raise NotReady("the first model is no better than popularity: try another --seed")
            self._serve(ring)
            with Traffic(
                self._world, self._rng, ring, self._screen, rate_per_s=plan.rate_per_s, delay_ms=plan.delay_ms
            ) as traffic:
                self._live(ring, traffic)
            ring.stop_steady()
        return self._summary(ring, traffic)

    def _start(self, ring: Ring) -> None:
        if self._plan.kafka:
            self._screen.step("starting Apache Kafka and Valkey (exactly once)")
        else:
            self._screen.step("starting librdkafka's mock broker and Valkey, both embedded")
            self._screen.say(
                "the mock broker keeps nothing on disk and knows no transactions, so the ring runs at least once here;"
            )
            self._screen.say("`stream-scorer demo --kafka` runs it on Apache Kafka, exactly once")
        ring.start()
        self._screen.say(f"broker {ring.settings.kafka.bootstrap_servers}, settings {ring.config}")

    def _write_history(self, ring: Ring) -> None:
        plan, world, screen = self._plan, self._world, self._screen
        screen.step(f"a simulated world: {plan.customers:,} customers, {plan.offers} offers, odds of acceptance known")
        screen.bounds = {"popularity ranking": world.popularity(), "best possible": world.best_possible()}
        screen.say(
            "acceptance rate of the " + ", of the ".join(f"{name} {rate:.3f}" for name, rate in screen.bounds.items())
        )
        history = world.log(self._rng, plan.history, start_ms=self._clock.now_ms() - DAY_MS)
        ring.labels.mkdir(parents=True, exist_ok=True)
        lines = [encode_without_absent(example) + b"\n" for example in history]
        (ring.labels / "history.jsonl").write_bytes(b"".join(lines))
        ring.offers.write_bytes(b"".join(encode(offer) + b"\n" for offer in world.offers()))

    def _release(self, ring: Ring, number: int, until: Until, *, reranks: bool = False) -> bool:
        """Train and publish, unless the gate refuses; traffic goes on meanwhile."""
        began_s = self._clock.monotonic_s()
        model = str(self._plan.out / "models" / str(number))
        # One thread: the ring needs the cores as well, and so small a model gains nothing from a second. A penalty is
        # given, since the folds that would choose it take most of the time.
        trained = self._command(
            ring,
            until,
            "train",
            "--labels",
            str(ring.labels),
            "--offers",
            str(ring.offers),
            "--out",
            model,
            "--threads",
            "1",
            "--prior",
            "10",
            # no kind but a network, which needs no further package
            *(("--ranker", "network") if reranks else ()),
        )
        for line in trained.last_output(OUTPUT_MAX).splitlines():
            self._screen.say(line)
        published = self._command(ring, until, "publish", "--model", model, "--offers", str(ring.offers))
        if (why := refusal(published.last_output(OUTPUT_MAX))) is not None:
            self._screen.say(f"refused, so what serves goes on: {why}")
        else:
            self._served.append(read_model(Path(model)))
        self._training_s = self._clock.monotonic_s() - began_s
        return why is None

    def _command(self, ring: Ring, until: Until, *arguments: str) -> OwnCommand:
        words = [word if word.startswith("-") else Path(word).name for word in arguments]
        self._screen.step(f"stream-scorer {' '.join(words)}")
        command = ring.run(*arguments)
        until(partial(ended, command), arguments[0], COMMAND_S_MAX)
        return command

    def _serve(self, ring: Ring) -> None:
        self._screen.step("stream-scorer serve --rankers 1 --joiners 1")
        ring.run("serve", "--rankers", "1", "--joiners", "1", steady=True)
        self._screen.step("stream-scorer buffer")
        ring.run("buffer", steady=True)

    def _live(self, ring: Ring, traffic: Traffic) -> None:
        plan = self._plan
        self._screen.step(f"customers come, {plan.rate_per_s:g} requests a second, and answer by their odds")
        share_s = plan.seconds / (plan.retrainings + 1)
        traffic.open()
        traffic.serve(share_s)
        for number in range(2, plan.retrainings + 2):
            last = number == plan.retrainings + 1 or not self._fits(2, besides_s=(number - 1) * share_s)
            if self._release(ring, number, traffic.until, reranks=last and plan.retrainings > 1):
                traffic.until(partial(traffic.served_by, len(self._served)), "the rankers swap", START_S_MAX)
            traffic.serve(share_s)
            if last and number <= plan.retrainings:
                self._screen.say("this machine is busy: no further training, so that the demo ends in time")
                break
        traffic.drain()

    def _fits(self, trainings: int, *, besides_s: float) -> bool:
        """Return whether so many more trainings fit in, each of them longer than the one before by the same factor."""
        spent_s = self._clock.monotonic_s() - self._began_s - besides_s
        more_s = sum(self._training_s * GROWTH ** (1 + place) for place in range(trainings))
        return spent_s + more_s + END_S <= self._plan.besides_s_max

    def _summary(self, ring: Ring, traffic: Traffic) -> Summary:
        world, plot = self._world, self._plan.out / "acceptance.png"
        draw_acceptance(self._series(traffic.tally), plot)
        newest = self._served[-1]
        return Summary.of(
            traffic.tally,
            traffic.crowd,
            best_possible=world.best_possible(),
            popularity=world.popularity(),
            delivery=ring.settings.loop.delivery,
            seconds=self._clock.monotonic_s() - self._began_s,
            out=self._plan.out,
            plot=plot,
            topics=ring.settings.topics,
            kinds=[kind_of(model) for model in self._served],
            added=added_by_reranker(world, newest, shortlist=ring.settings.rank.shortlist),
            reason_without=_reason_without(newest),
        )

    def _series(self, tally: Tally) -> Series:
        seconds, world = tally.seconds(), self._world
        marks = [
            (
                tally.seconds_at(release.first_seen_ms),
                f"{tally.name_of(release.release_id)}\n{_in_lines(kind_of(model))}\n{release.rate.value:.3f}",
            )
            for release, model in zip(tally.releases.values(), self._served, strict=False)
        ]
        shown, accepted = [one.shown for one in seconds], [one.accepted for one in seconds]
        return Series(shown, accepted, marks, world.best_possible(), world.popularity())


def _in_lines(kind: str) -> str:
    return kind.replace(" + ", "\n+ ")  # the last release's label stands near the right edge


def _reason_without(model: Model) -> str:
    stated: Any = model.facts.get("reranker") or {}
    return str(stated.get("reason") or "only the last of several retrainings has one, and the gate must accept it")
