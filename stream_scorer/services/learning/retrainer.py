"""retrain: train on the buffer's rows, judge and publish; whatever fails leaves the serving release in place."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import numpy as np
import structlog

from stream_scorer.core.datasets.chunks import ExampleSource
from stream_scorer.core.evaluation.label_health import Stretch, reason_to_hold, stretches
from stream_scorer.core.messages import Offer
from stream_scorer.core.towers.model import Model
from stream_scorer.errors import BadModel, ReleaseError, TransientError, UsageError
from stream_scorer.ports import Clock, ReleaseStore
from stream_scorer.services.learning.publisher import draft_release, held_against, publish
from stream_scorer.training.options import TrainOptions

log = structlog.get_logger(__name__)

STRETCHES_MAX = 7
WARM_STARTS = "warm_starts"  # a fact: how many trainings lie behind a model since one began from nothing
_GLANCE_S = 0.2

Outcome = Literal["published", "held", "refused", "failed"]
Train = Callable[[ExampleSource, Sequence[Offer], TrainOptions, Model | None], Model]


@dataclass(frozen=True, slots=True)
class Round:
    """How one round ended.

    `reason` says why nothing was published, `earlier_model_id` from which model the training went on.
    """

    outcome: Outcome
    reason: str | None = None
    model_id: str | None = None
    release_id: str | None = None
    earlier_model_id: str | None = None


@dataclass(frozen=True, slots=True)
class RetrainConfig:
    """A stretch is the length of time over which acceptances are compared with those before.

    After `warm_starts_max` trainings that went on from the one before, the next begins from nothing: what is carried on
    for ever keeps what has long ceased to be so.
    """

    stretch_ms: int
    keep: int
    warm_starts_max: int
    seed: int = 42
    threads: int = 1


class Retrainer:
    """Trains, judges and publishes, once or on a schedule."""

    def __init__(
        self,
        store: ReleaseStore,
        examples: Callable[[], AbstractContextManager[ExampleSource]],
        offers: Callable[[], Sequence[Offer]],
        config: RetrainConfig,
        *,
        train: Train,
        write: Callable[[Model], None],
        clock: Clock,
        ended: Callable[[Round], None] = lambda ended: None,
    ) -> None:
        self._store, self._examples, self._offers, self._train, self._write = store, examples, offers, train, write
        self._config, self._clock, self._ended = config, clock, ended

    def run(self, *, every_s: float, stopping: Callable[[], bool]) -> None:
        """Do a round now and another every `every_s`, until `stopping`; what is missing now may come later."""
        while not stopping():
            next_s = self._clock.monotonic_s() + every_s
            try:
                self.once()
            except UsageError as error:
                self._report(Round("failed", str(error)))
            while not stopping() and self._clock.monotonic_s() < next_s:
                self._clock.sleep(_GLANCE_S)

    def once(self) -> Round:
        """Do a round; faults are reported, and the release that serves then goes on.

        Raises UsageError where labels or offers are not there, or cannot be trained on.
        """
        try:
            ended = self._round()
        except BadModel as error:
            ended = Round("refused", str(error))
        except (ReleaseError, TransientError) as error:
            ended = Round("failed", str(error))
        return self._report(ended)

    def _report(self, ended: Round) -> Round:
        self._ended(ended)
        say = log.info if ended.outcome == "published" else log.warning
        ids = {"model_id": ended.model_id, "earlier_model_id": ended.earlier_model_id, "release_id": ended.release_id}
        say(f"retraining {ended.outcome}", reason=ended.reason, **ids)
        return ended

    def _round(self) -> Round:
        with self._examples() as examples:
            *before, now = closed_stretches(examples, length_ms=self._config.stretch_ms) or [Stretch(0, 0)]
            if (reason := reason_to_hold(before[-STRETCHES_MAX:], now)) is not None:
                return Round("held", reason)
            offers = self._offers()
            model = self._trained(examples, offers)
        self._write(model)
        drafted = draft_release(model, offers, created_ms=self._clock.now_ms(), embedded=lambda done: None)
        draft = held_against(drafted, self._store)
        stated = model.facts.get("earlier_model_id")
        earlier = None if stated is None else str(stated)
        if draft.faults:
            reason = f"{'; '.join(draft.faults)}; {self._store.current() or 'no release'} serves on"
            return Round("refused", reason, model.model_id, None, earlier)
        release = publish(self._store, model, draft, keep=self._config.keep, force=False)
        return Round("published", None, model.model_id, release.release_id, earlier)

    def _trained(self, examples: ExampleSource, offers: Sequence[Offer]) -> Model:
        """Train from the serving model where that is allowed, else afresh."""
        serving = self._serving()
        options = options_like(
            {} if serving is None else serving.facts, seed=self._config.seed, threads=self._config.threads
        )
        earlier = serving if serving is not None and _warm_starts(serving) < self._config.warm_starts_max else None
        model = self._train(examples, offers, options, earlier)
        if earlier is not None and _until_ms(model) < _until_ms(earlier):
            log.info(
                "training begins from nothing: the model that serves learned from what would judge the next",
                model_id=earlier.model_id,
            )
            earlier, model = None, self._train(examples, offers, options, None)
        return replace(model, facts={**model.facts, WARM_STARTS: 0 if earlier is None else _warm_starts(earlier) + 1})

    def _serving(self) -> Model | None:
        """Return the serving model if it was trained here; one that cannot be read does not stop a training."""
        try:
            current = self._store.current()
            serving = None if current is None else self._store.model(current)
        except (BadModel, ReleaseError) as error:
            log.warning("training begins from nothing: the model that serves cannot be read", reason=str(error))
            return None
        return serving if serving is not None and serving.facts.get("engine") == "torch" else None


def options_like(facts: Mapping[str, object], *, seed: int, threads: int) -> TrainOptions:
    """Return the options that a model was trained with, as its facts state them; the rows held out always judge it."""
    stated: Any = facts.get("options") or {}
    always: dict[str, Any] = {"seed": seed, "threads": threads, "refit": False}
    if stated.get("spectral"):  # the rest is of steps that were not taken
        return TrainOptions(objective="catalog", held_out=stated["held_out"], **always)
    known = {one.name for one in fields(TrainOptions)} - {"refit", "device", "spectral"}
    same: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in stated.items() if name in known
    }
    return TrainOptions(**{**same, **always, "spectral": "off" if stated else "auto"})


def _warm_starts(model: Model) -> int:
    count = model.facts.get(WARM_STARTS, 0)
    return count if isinstance(count, int) else 0


def _until_ms(model: Model) -> int:
    """Return the time of the latest row that the model learned from; 0: not known."""
    until = model.facts.get("trained_until_ms", 0)
    return until if isinstance(until, int) else 0


def closed_stretches(examples: ExampleSource, *, length_ms: int) -> list[Stretch]:
    """Count requests and those with an acceptance over time, the oldest stretch first, as far as windows are closed.

    A request later than every offer nobody answered for is left out: of those only the answered offers are examples
    yet.
    """
    chunks = [(chunk.request, chunk.accepted, chunk.request_time_ms, chunk.shown) for chunk in examples.chunks()]
    if not chunks:
        return []
    request, accepted, time_ms, shown = (np.concatenate(column) for column in zip(*chunks, strict=True))
    closed = time_ms <= time_ms[~shown].max(initial=-1)
    return stretches(request[closed], accepted[closed].astype(np.int64), time_ms[closed], length_ms=length_ms)
