"""The search for options: it moves while it gets better, and ends in time."""

from dataclasses import dataclass, replace

import pytest

from stream_scorer.core.datasets.chunks import Views
from stream_scorer.core.messages import Offer
from stream_scorer.services.learning.trainer import finish, read_lesson
from stream_scorer.services.learning.tuner import Trial, tune
from stream_scorer.training.joint import Lesson
from stream_scorer.training.options import TrainOptions
from tests.example_samples import Chunks, snacks, tastes_meet

QUICK = TrainOptions(dim=8, width=4, epochs=3, batch_rows=256, learning_rate=0.02)


@dataclass
class TickingClock:
    """A clock on which every look takes a second."""

    seconds: float = 0.0

    def now_ms(self) -> int:
        return int(self.seconds * 1_000)

    def monotonic_s(self) -> float:
        self.seconds += 1
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


@pytest.fixture(scope="module")
def lesson() -> Lesson:
    return read_lesson(tastes_meet(1_500), snacks(), QUICK)


def test_the_best_trial_is_what_is_kept(lesson: Lesson) -> None:
    tried: list[Trial] = []
    tuned = tune(lesson, replace(QUICK, prior=300.0), seconds=1e9, clock=TickingClock(), report=tried.append)
    assert tuple(tried) == tuned.trials
    assert tuned.trials[0].setting == {}
    assert min(trial.badness for trial in tried) >= min(trial.badness for trial in tried if trial.kept) - 0.01
    assert tuned.options.prior is not None
    assert tuned.options.prior < 300.0


def test_the_search_ends_in_time_and_tries_at_least_once(lesson: Lesson) -> None:
    assert len(tune(lesson, QUICK, seconds=0.1, clock=TickingClock(), report=lambda trial: None).trials) == 1
    assert 2 <= len(tune(lesson, QUICK, seconds=12, clock=TickingClock(), report=lambda trial: None).trials) <= 6


@pytest.mark.parametrize(("seconds", "members"), [(1e9, 4), (0.1, 1)])
def test_towers_of_ids_alone_get_as_many_members_as_there_is_time_for(seconds: float, members: int) -> None:
    part = tastes_meet(300, only_accepted=True).parts[0]
    customers, offers = (Views(views.ids, [{}] * len(views.ids)) for views in (part.customers, part.offers))
    bare = Chunks((replace(part, customers=customers, offers=offers),))
    lesson = read_lesson(bare, [Offer(offer_id=offer.offer_id, features={}) for offer in snacks()], QUICK)
    tuned = tune(lesson, replace(QUICK, epochs=1), seconds=seconds, clock=TickingClock(), report=lambda trial: None)
    assert tuned.options.members == members


def test_towers_with_features_have_one_member(lesson: Lesson) -> None:
    assert tune(lesson, QUICK, seconds=0.1, clock=TickingClock(), report=lambda trial: None).options.members == 1


def test_among_the_catalog_the_temperature_is_searched_first() -> None:
    lesson = read_lesson(tastes_meet(1_500, only_accepted=True), snacks(), QUICK)
    tuned = tune(lesson, QUICK, seconds=8, clock=TickingClock(), report=lambda trial: None)
    assert [list(trial.setting) for trial in tuned.trials[:2]] == [[], ["temperature"]]


def test_facts_tell_all_trials(lesson: Lesson) -> None:
    tuned = tune(lesson, QUICK, seconds=8, clock=TickingClock(), report=lambda trial: None)
    facts = finish(lesson, tuned.options, tuned=tuned.facts).model.facts
    assert facts["tuned"] == tuned.facts
    assert tuned.facts[0]["kept"] is True
