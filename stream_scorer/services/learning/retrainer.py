"""The job `retrain`: train on the buffer's rows, judge, publish. After any failure the old release goes on serving."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import numpy as np
import structlog

from stream_scorer.core.datasets.chunks import ExampleSource
from stream_scorer.core.evaluation.label_health import Stretch, reason_to_hold, stretches
from stream_scorer.core.messages import Offer
from stream_scorer.core.releases.gate import alike_cautions
from stream_scorer.core.towers.model import Model
from stream_scorer.errors import BadModel, OtherShape, ReleaseError, TransientError, UsageError
from stream_scorer.ports import Clock, ReleaseStore
from stream_scorer.services.learning.publisher import Indexer, draft_release, held_against, publish
from stream_scorer.training.options import TrainOptions, sizes_from_nothing

log = structlog.get_logger(__name__)

STRETCHES_MAX = 7
WARM_STARTS = "warm_starts"  # a fact of a model: how many warm starts there were since a training from nothing
_GLANCE_S = 0.2
_SIZES = {"members", "dim", "width"}  # an ensemble that nobody asked for has its own sizes

Outcome = Literal["published", "held", "refused", "failed"]
Train = Callable[[ExampleSource, Sequence[Offer], TrainOptions, Model | None], Model]


@dataclass(frozen=True, slots=True)
class Round:
    """How one round ended.

    `reason` says why nothing was published; `earlier_model_id` is the model from which the training started, if any.
    """

    outcome: Outcome
    reason: str | None = None
    model_id: str | None = None
    release_id: str | None = None
    earlier_model_id: str | None = None


@dataclass(frozen=True, slots=True)
class RetrainConfig:
    """The settings of `retrain`; acceptances are compared between stretches of time of `stretch_ms` each.

    After `warm_starts_max` warm starts in a row, the next training begins from nothing: weights that are carried over
    for ever keep what has long ceased to be true. `keep` is how many releases stay in the store.
    """

    stretch_ms: int
    keep: int
    warm_starts_max: int
    seed: int = 42
    threads: int = 1


class Retrainer:
    """Trains, judges and publishes, in one round or on a schedule."""

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
        indexer: Indexer | None = None,
    ) -> None:
        self._store, self._examples, self._offers, self._train, self._write = store, examples, offers, train, write
        self._config, self._clock, self._ended, self._indexer = config, clock, ended, indexer

    def run(self, *, every_s: float, stopping: Callable[[], bool]) -> None:
        """Do a round now and another every `every_s`, until `stopping`.

        A UsageError, such as for missing labels, only fails its round: they may be there in the next one.
        """
        while not stopping():
            next_s = self._clock.monotonic_s() + every_s
            try:
                self.once()
            except UsageError as error:
                self._report(Round("failed", str(error)))
            while not stopping() and self._clock.monotonic_s() < next_s:
                self._clock.sleep(_GLANCE_S)

    def once(self) -> Round:
        """Do one round and report how it ended; after a fault the serving release stays in place.

        Raises UsageError where labels or offers are missing, or cannot be trained on.
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
        drafted = draft_release(
            model, offers, created_ms=self._clock.now_ms(), embedded=lambda done: None, indexer=self._indexer
        )
        draft = held_against(drafted, self._store)
        stated = model.facts.get("earlier_model_id")
        earlier = None if stated is None else str(stated)
        if draft.faults:
            reason = f"{'; '.join(draft.faults)}; {self._store.current() or 'no release'} serves on"
            return Round("refused", reason, model.model_id, None, earlier)
        for caution in alike_cautions(model.facts):
            log.warning("model_ranks_alike", reason=caution, model_id=model.model_id)
        release = publish(self._store, model, draft, keep=self._config.keep, force=False)
        return Round("published", None, model.model_id, release.release_id, earlier)

    def _trained(self, examples: ExampleSource, offers: Sequence[Offer]) -> Model:
        """Train from the serving model where that is allowed, else from nothing."""
        serving = self._serving()
        options = options_like(
            {} if serving is None else serving.facts, seed=self._config.seed, threads=self._config.threads
        )
        earlier = serving if serving is not None and _warm_starts(serving) < self._config.warm_starts_max else None
        earlier, model = self._trained_on(examples, offers, options, earlier)
        # The earlier model has learned from rows that this training holds out: figures on these would flatter it.
        if earlier is not None and _until_ms(model) < _until_ms(earlier):
            log.info(
                "training begins from nothing: the model that serves learned from what would judge the next",
                model_id=earlier.model_id,
            )
            earlier, model = None, self._train(examples, offers, options, None)
        return replace(model, facts={**model.facts, WARM_STARTS: 0 if earlier is None else _warm_starts(earlier) + 1})

    def _trained_on(
        self, examples: ExampleSource, offers: Sequence[Offer], options: TrainOptions, earlier: Model | None
    ) -> tuple[Model | None, Model]:
        """Return the model that the training could start from, if any, and what it made."""
        try:
            return earlier, self._train(examples, offers, options, earlier)
        except OtherShape as error:
            # Sizes that nobody chose follow the rows, which grow: the first model is small, and later ones are not.
            log.info("training begins from nothing: the towers that serve have other sizes", reason=str(error))
            return None, self._train(examples, offers, options, None)

    def _serving(self) -> Model | None:
        """Return the serving model if torch trained it; None also where it cannot be read, so that training goes on."""
        try:
            current = self._store.current()
            serving = None if current is None else self._store.model(current)
        except (BadModel, ReleaseError) as error:
            log.warning("training begins from nothing: the model that serves cannot be read", reason=str(error))
            return None
        return serving if serving is not None and serving.facts.get("engine") == "torch" else None


def options_like(facts: Mapping[str, object], *, seed: int, threads: int) -> TrainOptions:
    """Return the options that a model was trained with, as its facts state them, but without a refit.

    Without a refit the held-out rows can judge the very towers that are published.
    """
    options: Any = facts.get("options") or {}
    stated = {**options, **sizes_from_nothing(facts)}
    always: dict[str, Any] = {"seed": seed, "threads": threads, "refit": False}
    if stated.get("spectral"):  # a decomposition takes no steps: the other options had no effect
        return TrainOptions(objective="catalog", held_out=stated["held_out"], **always)
    known = {one.name for one in fields(TrainOptions)} - {"refit", "device", "spectral"}
    if stated.get("chooses_epoch") is False:  # so neither was given; once given, few rows would choose the epoch
        known -= {"patience", "epochs"}
    if stated.get("epochs_given") is False:
        # Given, they would have the fewest steps each, which are too few where a large log has few epochs.
        known -= {"epochs"}
    if stated.get("steps_given") is False:  # what suits a million rows learns too fast from a few thousand
        known -= {"batch_rows", "learning_rate"}
    if stated.get("members_given") is False:
        known -= {"members"} if stated.get("members", 1) == 1 else _SIZES
    same: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in stated.items() if name in known
    }
    return TrainOptions(**{**same, **always, "spectral": "off" if stated else "auto"})


def _warm_starts(model: Model) -> int:
    count = model.facts.get(WARM_STARTS, 0)
    return count if isinstance(count, int) else 0


def _until_ms(model: Model) -> int:
    """Return the time of the latest row that the model learned from, 0 where it is unknown."""
    until = model.facts.get("trained_until_ms", 0)
    return until if isinstance(until, int) else 0


def closed_stretches(examples: ExampleSource, *, length_ms: int) -> list[Stretch]:
    """Count the requests, and those with an acceptance, in each stretch of time whose windows are closed, oldest first.

    A request later than the latest unanswered offer is left out: its window is still open, and so far only its answered
    offers are examples, which would make acceptances look too frequent.
    """
    chunks = [(chunk.request, chunk.accepted, chunk.request_time_ms, chunk.shown) for chunk in examples.chunks()]
    if not chunks:
        return []
    request, accepted, time_ms, shown = (np.concatenate(column) for column in zip(*chunks, strict=True))
    closed = time_ms <= time_ms[~shown].max(initial=-1)
    return stretches(request[closed], accepted[closed].astype(np.int64), time_ms[closed], length_ms=length_ms)
