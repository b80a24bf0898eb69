"""retrain: train on what the buffer holds, judge, publish; what fails leaves the release that serves alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import structlog

from stream_scorer.core.example_chunks import ExampleSource
from stream_scorer.core.label_health import Stretch, reason_to_hold, stretches
from stream_scorer.core.messages import Offer
from stream_scorer.core.release import Model
from stream_scorer.errors import BadModel, TransientError, UsageError
from stream_scorer.ports import Clock, ReleaseStore
from stream_scorer.services.publisher import draft_release, publish

log = structlog.get_logger(__name__)

STRETCHES_MAX = 7
_GLANCE_S = 0.2

Outcome = Literal["published", "held", "refused", "failed"]


@dataclass(frozen=True, slots=True)
class Round:
    """How one round ended; `reason` says why nothing was published."""

    outcome: Outcome
    reason: str | None = None
    model_id: str | None = None
    release_id: str | None = None


@dataclass(frozen=True, slots=True)
class RetrainConfig:
    """A stretch is the length of time over which acceptances are compared with those before."""

    stretch_ms: int
    keep: int


class Retrainer:
    """Trains and publishes, once or again and again."""

    def __init__(
        self,
        store: ReleaseStore,
        examples: Callable[[], ExampleSource],
        offers: Callable[[], Sequence[Offer]],
        train: Callable[[ExampleSource, Sequence[Offer]], Model],
        config: RetrainConfig,
        *,
        clock: Clock,
    ) -> None:
        self._store, self._examples, self._offers, self._train = store, examples, offers, train
        self._config, self._clock = config, clock

    def run(self, *, every_s: float, stopping: Callable[[], bool]) -> None:
        """Do a round now and one every `every_s`, until told to stop."""
        while not stopping():
            next_s = self._clock.monotonic_s() + every_s
            self.once()
            while not stopping() and self._clock.monotonic_s() < next_s:
                self._clock.sleep(_GLANCE_S)

    def once(self) -> Round:
        """Do one round: whatever speaks against a release is said, and the one that serves goes on."""
        try:
            ended = self._round()
        except BadModel as error:
            ended = Round("refused", str(error))
        except (UsageError, TransientError) as error:
            ended = Round("failed", str(error))
        say = log.info if ended.outcome == "published" else log.warning
        say(f"retraining {ended.outcome}", reason=ended.reason, model_id=ended.model_id, release_id=ended.release_id)
        return ended

    def _round(self) -> Round:
        examples = self._examples()
        *before, now = closed_stretches(examples, length_ms=self._config.stretch_ms) or [Stretch(0, 0)]
        if (reason := reason_to_hold(before[-STRETCHES_MAX:], now)) is not None:
            return Round("held", reason)
        offers = self._offers()
        model = self._train(examples, offers)
        draft = draft_release(model, offers, created_ms=self._clock.now_ms(), embedded=lambda done: None)
        release = publish(self._store, model, draft, keep=self._config.keep, force=False)
        return Round("published", None, model.model_id, release.release_id)


def closed_stretches(examples: ExampleSource, *, length_ms: int) -> list[Stretch]:
    """Count requests and those with an acceptance over time, the oldest stretch first, as far as windows are closed.

    A request later than every offer nobody answered for is left out: of those only the answered offers are examples yet.
    """
    chunks = [(chunk.request, chunk.accepted, chunk.request_time_ms, chunk.shown) for chunk in examples.chunks()]
    if not chunks:
        return []
    request, accepted, time_ms, shown = (np.concatenate(column) for column in zip(*chunks, strict=True))
    closed = time_ms <= time_ms[~shown].max(initial=-1)
    return stretches(request[closed], accepted[closed].astype(np.int64), time_ms[closed], length_ms=length_ms)
