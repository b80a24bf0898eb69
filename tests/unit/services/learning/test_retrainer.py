from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from stream_scorer.adapters.local.clock import HandClock
from stream_scorer.adapters.memory.releases import MemoryReleases
from stream_scorer.core.datasets.chunks import ExampleChunk, ExampleSource, Views
from stream_scorer.core.datasets.traits import LogTraits
from stream_scorer.core.evaluation.label_health import Stretch
from stream_scorer.core.messages import Offer, ReleaseId
from stream_scorer.core.releases.release import Release
from stream_scorer.core.towers.model import Model
from stream_scorer.errors import BadModel, OtherShape, ReleaseError, UsageError
from stream_scorer.services.learning.retrainer import (
    RetrainConfig,
    Retrainer,
    Round,
    Train,
    closed_stretches,
    options_like,
)
from stream_scorer.training.options import TrainOptions
from tests.release_samples import model, offer, published

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
                Views(["c"], [{}]), Views(["o"], [{}]), number[half] * 0, number[half] * 0,
                number[half].astype(np.uint64), accepted[half],
                number[half] * 0, nothing[half], nothing[half], np.ones(len(half)),
                number[half] * 10_000, number[half] * 0, accepted[half] > 0, number[half] * 0,
            )  # fmt: skip


@dataclass
class Training:
    """Stands for the towers' training: remembers what it was told, and gives a model that learned up to a time."""

    until_ms: int = 0
    broken: bool = False
    difference: float = 0.0
    told: list[tuple[TrainOptions, str | None]] = field(default_factory=list)

    def __call__(
        self, source: ExampleSource, stated: Sequence[Offer], options: TrainOptions, earlier: Model | None
    ) -> Model:
        if self.broken:
            raise BadModel("the user tower is dead")
        self.told.append((options, None if earlier is None else earlier.model_id))
        facts = {
            "engine": "torch",
            "options": {"dim": 8, "hidden": [4], "refit": True},
            "trained_until_ms": self.until_ms,
        }
        facts |= {"earlier_model_id": self.told[-1][1], "parity_max_difference": self.difference}
        return replace(model(len(self.told)), facts=facts)

    @property
    def earlier(self) -> list[str | None]:
        return [model_id for _, model_id in self.told]


def retrainer(
    store: MemoryReleases,
    examples: Examples,
    training: Train | None = None,
    *,
    written: list[Model] | None = None,
    warm_starts: int = 2,
    ended: Callable[[Round], None] = lambda ended: None,
) -> Retrainer:
    offers = [offer(number) for number in range(5)]
    train, config = training or Training(), RetrainConfig(HOUR_MS, keep=3, warm_starts_max=warm_starts)
    written = [] if written is None else written
    return Retrainer(
        store,
        lambda: nullcontext(examples),
        lambda: offers,
        config,
        train=train,
        write=written.append,
        clock=HandClock(),
        ended=ended,
    )


def test_requests_count_once_across_chunks() -> None:
    assert closed_stretches(Examples(1_080), length_ms=HOUR_MS) == [Stretch(360, 90)] * 3


def test_a_round_publishes_what_it_trained() -> None:
    store = MemoryReleases()
    ended = retrainer(store, Examples(1_080)).once()
    assert (ended.outcome, ended.release_id) == ("published", store.current())


def test_missing_acceptances_hold_retraining() -> None:
    store = MemoryReleases()
    ended = retrainer(store, Examples(1_080, quiet_from=720)).once()
    assert ended.outcome == "held"
    assert "quiet" in (ended.reason or "")
    assert store.current() is None


@pytest.mark.parametrize("away", [False, True])
def test_failures_leave_the_old_release_serving(away: bool) -> None:
    store = MemoryReleases()
    retrainer(store, Examples(1_080)).once()
    serving = store.current()
    store.away = away
    ended = retrainer(store, Examples(1_080), Training(broken=not away)).once()
    store.away = False
    assert ended.outcome == ("failed" if away else "refused")
    assert ended.reason
    assert store.current() == serving


def test_a_schedule_outlives_labels_without_negatives() -> None:
    rounds: list[Round] = []
    log = LogTraits(rows=9, accepted=9, everything_accepted=True, repeats=0.0, density=0.1)

    def train(*_: object) -> Model:
        raise AssertionError(TrainOptions(objective="shown").recipe(log, ids_alone=False))

    one = retrainer(MemoryReleases(), Examples(1_080), train, ended=rounds.append)
    one.run(every_s=0.0, stopping=lambda: len(rounds) == 2)
    assert [ended.outcome for ended in rounds] == ["failed", "failed"]
    assert "join.window_ms, 30 minutes by default" in (rounds[0].reason or "")


def test_warm_starts_end_every_so_often() -> None:
    store, training = MemoryReleases(), Training()
    one = retrainer(store, Examples(1_080), training, warm_starts=2)
    rounds = [one.once() for _ in range(5)]
    ids = [each.model_id for each in rounds]
    assert training.earlier == [None, ids[0], ids[1], None, ids[3]]
    assert [each.earlier_model_id for each in rounds] == training.earlier


def test_warm_start_never_knows_judged_rows() -> None:
    store, training, written = MemoryReleases(), Training(until_ms=9_000), list[Model]()
    one = retrainer(store, Examples(1_080), training, written=written)
    one.once()
    training.until_ms = 8_000
    one.once()
    assert training.earlier == [None, written[0].model_id, None]
    assert (written[1].model_id, written[1].facts["earlier_model_id"]) == (model(3).model_id, None)


def test_other_sizes_begin_from_nothing() -> None:
    store, training, written = MemoryReleases(), Training(), list[Model]()

    def train(source: ExampleSource, offers: Sequence[Offer], options: TrainOptions, earlier: Model | None) -> Model:
        if earlier is not None:
            raise OtherShape("layers of [32] over width 32; got layers of [32] over width 16")
        return training(source, offers, options, earlier)

    one = retrainer(store, Examples(1_080), train, written=written)
    assert [one.once().outcome, one.once().outcome] == ["published", "published"]
    assert [each.facts["warm_starts"] for each in written] == [0, 0]


def test_warm_start_refuses_other_engines() -> None:
    store, training = MemoryReleases(), Training()
    published(store)
    retrainer(store, Examples(1_080), training).once()
    assert training.earlier == [None]


def test_serving_models_options_stand() -> None:
    store, training = MemoryReleases(), Training()
    one = retrainer(store, Examples(1_080), training)
    one.once()
    one.once()
    like_it = TrainOptions(dim=8, hidden=(4,), refit=False, spectral="off")
    assert [options for options, _ in training.told] == [TrainOptions(refit=False), like_it]


def test_last_epochs_are_kept_again() -> None:
    facts = {"options": {"epochs": 16, "patience": 6, "prior": 30.0, "chooses_epoch": False}}
    again = options_like(facts, seed=7, threads=1)
    assert (again.epochs, again.patience, again.prior) == (None, None, 30.0)
    facts["options"]["chooses_epoch"] = True
    assert options_like(facts, seed=7, threads=1).epochs == 16


def test_epochs_nobody_gave_follow_the_log() -> None:
    habits = LogTraits(500_000, 500_000, everything_accepted=True, repeats=0.9, density=0.01, offers=600)
    first = TrainOptions().recipe(habits, ids_alone=False)
    again = options_like({"options": asdict(first)}, seed=7, threads=1)
    assert again.epochs is None
    retrained = again.recipe(habits, ids_alone=False)
    assert (retrained.epochs, retrained.epoch_steps_min) == (first.epochs, first.epoch_steps_min) == (10, 80)
    asked = TrainOptions(epochs=9).recipe(habits, ids_alone=False)
    assert options_like({"options": asdict(asked)}, seed=7, threads=1).epochs == 9


def test_ensembles_nobody_asked_for_follow_the_log() -> None:
    few = LogTraits(4_000, 1_000, everything_accepted=False, repeats=0.0, density=0.1, offers=60)
    first = TrainOptions().recipe(few, ids_alone=False)
    again = options_like({"options": asdict(first)}, seed=7, threads=1)
    assert again.recipe(few, ids_alone=False).members == first.members == 4
    assert again.recipe(replace(few, rows=9_000), ids_alone=False).members == 1
    asked = TrainOptions(members=3).recipe(few, ids_alone=False)
    assert options_like({"options": asdict(asked)}, seed=7, threads=1).members == 3


def test_steps_nobody_gave_follow_the_log() -> None:
    few = LogTraits(10_000, 4_000, everything_accepted=False, repeats=0.0, density=0.1, offers=60)
    many = replace(few, rows=10**6)
    for first, next_ in ((few, many), (many, few)):
        again = options_like({"options": asdict(TrainOptions().recipe(first, ids_alone=False))}, seed=7, threads=1)
        steps, wanted = (options.recipe(next_, ids_alone=False) for options in (again, TrainOptions()))
        assert (steps.batch_rows, steps.learning_rate) == (wanted.batch_rows, wanted.learning_rate)


@pytest.mark.parametrize("given", [{"batch_rows": 512}, {"learning_rate": 0.02}])
def test_given_steps_are_taken_again(given: dict[str, Any]) -> None:
    log = LogTraits(10**6, 4_000, everything_accepted=False, repeats=0.0, density=0.1, offers=60)
    first = TrainOptions(**given).recipe(log, ids_alone=False)
    again = options_like({"options": asdict(first)}, seed=7, threads=1).recipe(
        replace(log, rows=9_000), ids_alone=False
    )
    assert (again.batch_rows, again.learning_rate) == (first.batch_rows, first.learning_rate)


def test_a_decomposed_model_is_decomposed_again() -> None:
    facts = {"options": {"spectral": True, "held_out": 0.2, "epochs": 40, "dim": 257}}
    again = options_like(facts, seed=7, threads=1)
    assert again == TrainOptions(objective="catalog", held_out=0.2, refit=False, seed=7)


def test_faulty_models_are_refused_by_name() -> None:
    store, training = MemoryReleases(), Training()
    one = retrainer(store, Examples(1_080), training)
    serving = one.once().release_id
    training.difference = 0.5
    ended = one.once()
    assert (ended.outcome, ended.release_id, store.current()) == ("refused", None, serving)
    assert (
        ended.reason
        == f"the towers differ by up to 0.5 from those that were trained, at most 1e-05; {serving} serves on"
    )


def test_it_trains_again_every_so_often() -> None:
    store, rounds = MemoryReleases(), iter(range(200))
    one = retrainer(store, Examples(1_080))
    one.run(every_s=5.0, stopping=lambda: next(rounds, None) is None)
    assert store.current() is not None


class UnreadableReleases(MemoryReleases):
    """A store whose current release, made by somebody else, cannot be read."""

    unreadable: type[Exception] = ReleaseError

    def model(self, release_id: ReleaseId) -> Model:
        raise self.unreadable("the manifest is cut off")

    def load(self, release_id: ReleaseId) -> Release:
        if len(self._history) == 1:
            raise self.unreadable("the manifest is cut off")
        return super().load(release_id)


@pytest.mark.parametrize("kind", [ReleaseError, BadModel])
def test_unreadable_releases_do_not_stop_training(kind: type[Exception]) -> None:
    store, training = UnreadableReleases(), Training()
    store.unreadable = kind
    published(store, 7)
    ended = retrainer(store, Examples(1_080), training).once()
    assert ended.outcome == "published"
    assert store.current() == ended.release_id
    assert training.earlier == [None]


def test_missing_labels_fail_once_or_a_round() -> None:
    rounds, ended = iter(range(60)), list[Round]()

    def missing() -> AbstractContextManager[ExampleSource]:
        raise UsageError("no labelled examples at nowhere")

    config = RetrainConfig(HOUR_MS, keep=3, warm_starts_max=2)
    one = Retrainer(
        MemoryReleases(), missing, list, config, train=Training(), write=print, clock=HandClock(), ended=ended.append
    )
    with pytest.raises(UsageError, match="nowhere"):
        one.once()
    one.run(every_s=5.0, stopping=lambda: next(rounds, None) is None)
    assert {(each.outcome, each.reason) for each in ended} == {("failed", "no labelled examples at nowhere")}
