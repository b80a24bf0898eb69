from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from stream_scorer.adapters.clock import HandClock
from stream_scorer.adapters.memory_releases import MemoryReleases
from stream_scorer.core.example_chunks import ExampleChunk, ExampleSource, Views
from stream_scorer.core.label_health import Stretch
from stream_scorer.core.messages import Offer
from stream_scorer.core.release import Model
from stream_scorer.errors import BadModel
from stream_scorer.services.retrainer import RetrainConfig, Retrainer, closed_stretches
from tests.release_samples import model, offer

HOUR_MS = 3_600_000


@dataclass(frozen=True)
class Examples:
    """Two rows a request, one request every ten seconds, an acceptance in every fourth until `quiet_from`."""

    requests: int
    quiet_from: int = 10**9

    def chunks(self) -> Iterator[ExampleChunk]:
        number = np.repeat(np.arange(self.requests), 2)
        accepted = ((number % 4 == 0) & (number < self.quiet_from) & (np.arange(len(number)) % 2 == 0)).astype(np.int8)
        nothing = np.full(len(number), np.nan)
        for half in np.array_split(np.arange(len(number)), 3):
            yield ExampleChunk(
                Views(["c"], [{}]), Views(["o"], [{}]), number[half] * 0, number[half] * 0, number[half].astype(np.uint64), accepted[half],
                number[half] * 0, nothing[half], nothing[half], np.ones(len(half)), number[half] * 10_000, accepted[half] > 0,
            )  # fmt: skip


def retrainer(store: MemoryReleases, examples: Examples, *, broken: bool = False) -> Retrainer:
    def train(source: ExampleSource, stated: Sequence[Offer]) -> Model:
        if broken:
            raise BadModel("the user tower is dead")
        return model(3)

    offers = [offer(number) for number in range(5)]
    return Retrainer(store, lambda: examples, lambda: offers, train, RetrainConfig(HOUR_MS, keep=3), clock=HandClock())


def test_a_request_counts_once_however_its_rows_are_split() -> None:
    assert closed_stretches(Examples(1_080), length_ms=HOUR_MS) == [Stretch(360, 90)] * 3


def test_a_round_publishes_what_it_trained() -> None:
    store = MemoryReleases()
    ended = retrainer(store, Examples(1_080)).once()
    assert (ended.outcome, ended.release_id) == ("published", store.current())


def test_retraining_is_held_when_acceptances_have_gone_quiet() -> None:
    store = MemoryReleases()
    ended = retrainer(store, Examples(1_080, quiet_from=720)).once()
    assert ended.outcome == "held"
    assert "quiet" in (ended.reason or "")
    assert store.current() is None


@pytest.mark.parametrize("away", [False, True])
def test_what_fails_leaves_the_old_release_serving_and_says_why(away: bool) -> None:
    store = MemoryReleases()
    retrainer(store, Examples(1_080)).once()
    serving = store.current()
    store.away = away
    ended = retrainer(store, Examples(1_080), broken=not away).once()
    store.away = False
    assert ended.outcome == ("failed" if away else "refused")
    assert ended.reason
    assert store.current() == serving


def test_it_trains_again_every_so_often() -> None:
    store, rounds = MemoryReleases(), iter(range(200))
    one = retrainer(store, Examples(1_080))
    one.run(every_s=5.0, stopping=lambda: next(rounds, None) is None)
    assert store.current() is not None
