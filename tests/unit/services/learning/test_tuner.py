"""The search for options: it moves while it gets better, ends in time, and never leaves the default for luck."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from stream_scorer.core.datasets.chunks import Views
from stream_scorer.core.messages import Offer
from stream_scorer.services.learning import tuner
from stream_scorer.services.learning.trainer import finish, read_lesson
from stream_scorer.services.learning.trials import Trial, Tried, Tuning
from stream_scorer.services.learning.tuner import tune
from stream_scorer.training.lesson import Lesson
from stream_scorer.training.options import TrainOptions
from tests.example_samples import Chunks, snacks, tastes_meet

QUICK = TrainOptions(dim=8, width=4, epochs=3, batch_rows=256, learning_rate=0.02)


@dataclass
class TickingClock:
    """A clock on which every look takes a second; a search looks once an epoch, and a few times beside."""

    seconds: float = 0.0

    def now_ms(self) -> int:
        return int(self.seconds * 1_000)

    def monotonic_s(self) -> float:
        self.seconds += 1
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


def tuned(lesson: Lesson, options: TrainOptions, seconds: float) -> Tuning:
    return tune(lesson, options, seconds=seconds, clock=TickingClock(), report=lambda trial: None)


@pytest.fixture(scope="module")
def lesson() -> Lesson:
    return read_lesson(tastes_meet(600), snacks(), QUICK)


def test_a_poor_beginning_is_left() -> None:
    tried: list[Trial] = []
    narrow = replace(QUICK, dim=1)  # cosines of one number are 1 or -1, which cannot tell three tastes apart
    lesson = read_lesson(tastes_meet(1_500, only_accepted=True), snacks(), narrow)
    found = tune(lesson, replace(narrow, epochs=8), seconds=250, clock=TickingClock(), report=tried.append)
    assert tuple(tried) == found.trials
    assert (found.trials[0].setting, found.trials[0].kept) == ({}, True)
    assert found.outcome.split("better than the default: ")[1].startswith("dim ")
    assert found.options.dim not in {None, 1}


def test_only_more_than_luck_beats_the_default() -> None:
    rng = np.random.default_rng(0)
    fitted: Any = None
    default = Tried({}, {}, fitted, rng.normal(0.5, 0.1, 100))
    lucky, better = (replace(default, units=default.units - rng.normal(gain, 0.1, 100)) for gain in (0.01, 0.05))
    assert better.beats(default, 2.0)
    assert not lucky.beats(default, 2.0)
    assert not default.beats(default, 0.0)


def test_without_time_nothing_is_searched(lesson: Lesson) -> None:
    found = tuned(lesson, replace(QUICK, refit=True), 3)
    assert found.trials == ()
    assert found.outcome.startswith("nothing was searched: one training takes about")
    assert found.options == replace(QUICK, refit=False)


def test_the_search_leaves_time_for_the_training(lesson: Lesson) -> None:
    clock = TickingClock()
    found = tune(lesson, replace(QUICK, epochs=6), seconds=60, clock=clock, report=lambda trial: None)
    assert 2 <= len(found.trials) <= 8
    assert clock.seconds + 6 / 0.8 <= 60 * 1.2


def test_trials_are_shortened_where_few_would_fit(lesson: Lesson) -> None:
    found = tuned(lesson, replace(QUICK, epochs=20), 90)
    assert {trial.epochs for trial in found.trials} <= set(range(1, 20))
    assert "in place of 20 epochs" in found.outcome
    assert (found.first, found.options.epochs) == (None, 20)


def test_default_stays_within_luck() -> None:
    part = tastes_meet(1_500).parts[0]
    rng = np.random.default_rng(0)
    noise = Chunks((replace(part, accepted=(rng.random(1_500) < 0.3).astype(np.int8)),))
    found = tuned(read_lesson(noise, snacks(), QUICK), replace(QUICK, prior=100.0), 60)
    assert "the default" in found.outcome
    assert found.options.prior == 100.0


def test_lucky_steps_leave_the_default(lesson: Lesson, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tried, "beats", lambda self, other, errors: errors < 2.0)
    found = tuned(lesson, QUICK, 60)
    assert any(trial.kept for trial in found.trials[1:])
    assert found.outcome.endswith("none is surely better than the default, which stays")
    assert found.options == QUICK


@pytest.mark.parametrize(("seconds", "prior"), [(100, 30.0), (15, None)])
def test_folds_choose_where_time_is_ample(
    lesson: Lesson, monkeypatch: pytest.MonkeyPatch, seconds: float, prior: float | None
) -> None:
    monkeypatch.setattr(tuner, "with_penalty", lambda _, options: replace(options, prior=30.0))
    monkeypatch.setattr(Tried, "beats", lambda self, other, errors: False)
    assert tuned(lesson, QUICK, seconds).options.prior == prior


def test_trials_that_cannot_win_end_early(lesson: Lesson) -> None:
    found = tuned(lesson, replace(QUICK, epochs=5, prior=1.0), 100)
    given_up = [trial for trial in found.trials if trial.ended == "could not win"]
    assert given_up
    assert all(trial.epochs < 8 and not trial.kept for trial in given_up)


def test_a_whole_trial_is_gone_on_from(lesson: Lesson) -> None:
    found = tuned(lesson, replace(QUICK, refit=True), 40)
    assert found.first is not None
    trained = finish(lesson, found.options, tuning=found)
    assert trained.epochs == found.first.epochs
    assert trained.model.facts["options"]["refit"] is True  # type: ignore[index]


@pytest.mark.parametrize(("seconds", "members"), [(60, 4), (12, 1)])
def test_ids_alone_get_members_by_the_time(seconds: float, members: int) -> None:
    part = tastes_meet(300, only_accepted=True).parts[0]
    customers, offers = (Views(views.ids, [{}] * len(views.ids)) for views in (part.customers, part.offers))
    bare = Chunks((replace(part, customers=customers, offers=offers),))
    lesson = read_lesson(bare, [Offer(offer_id=offer.offer_id, features={}) for offer in snacks()], QUICK)
    options = tuned(lesson, replace(QUICK, epochs=2), seconds).options
    assert lesson.recipe(options).members == members


def test_towers_with_features_have_one_member(lesson: Lesson) -> None:
    assert tuned(lesson, QUICK, 20).options.members is None


def test_among_the_catalog_the_temperature_comes_first() -> None:
    lesson = read_lesson(tastes_meet(1_500, only_accepted=True), snacks(), QUICK)
    found = tuned(lesson, QUICK, 30)
    assert [list(trial.setting) for trial in found.trials[:2]] == [[], ["temperature"]]
    assert found.trials[0].figure == "nDCG@10"


def test_facts_hold_all_trials_and_the_outcome(lesson: Lesson) -> None:
    found = tuned(lesson, QUICK, 30)
    facts = finish(lesson, found.options, tuning=found).model.facts
    assert facts["tuned"] == found.facts["tuned"]
    assert facts["tuning"] == {"seconds": found.seconds, "outcome": found.outcome}


def test_a_decomposition_has_no_options_to_search() -> None:
    part = tastes_meet(300, only_accepted=True).parts[0]
    customers, offers = (Views(views.ids, [{}] * len(views.ids)) for views in (part.customers, part.offers))
    options = TrainOptions(spectral="on", refit=True)
    bare = [Offer(offer_id=offer.offer_id, features={}) for offer in snacks()]
    found = tuned(read_lesson(Chunks((replace(part, customers=customers, offers=offers),)), bare, options), options, 20)
    assert (found.options, found.trials) == (options, ())
    assert "decomposition" in found.outcome
