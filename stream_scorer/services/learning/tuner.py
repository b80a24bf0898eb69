"""Searches the options of a training, one after the other, within a given time.

The default is the first trial. It stays unless another trial beats it by more than noise on the same held-out
questions.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from stream_scorer.ports import Clock
from stream_scorer.services.learning.trial_watch import TrialWatch
from stream_scorer.services.learning.trials import Setting, Trial, Tried, Tuning, setting_text
from stream_scorer.services.learning.tuned_settings import nearest, settings_to_try
from stream_scorer.training.held_out import HeldOutRanking, losses_by_customer
from stream_scorer.training.joint import fit
from stream_scorer.training.lesson import Epoch, Fitted, Lesson
from stream_scorer.training.options import Recipe, TrainOptions
from stream_scorer.training.penalty import PENALTY_TRAININGS, with_penalty

_HELD_OUT = 0.2
_STEP_ERRORS = 1.0  # a step of the search needs a paired difference of so many standard errors
_SURE_ERRORS = 2.0  # the result must beat the default by so many: the best of many trials is also a lucky one
_WHOLE_TRIALS_MIN = 3  # with time for fewer, trials have fewer epochs
_TRIALS_WANTED = 4
_EPOCHS_MIN = 3
_SHORTENED_MIN = 0.12  # of the epochs
_ALL_ROWS = 1.1 / (1 - _HELD_OUT)  # a training on all rows takes so many times as long as a trial, 10 % of it reserve
_MEMBERS = 4
_INSTANT_S = 1e-9
_NEW_OFFERS_MIN, _NEW_OFFERS_MAX = 0.02, 0.5


def tune(
    lesson: Lesson, options: TrainOptions, *, seconds: float, clock: Clock, report: Callable[[Trial], None]
) -> Tuning:
    """Search within `seconds`, and leave enough of them for the training that follows.

    The search begins at the given `options` and moves from setting to setting while the figure improves. Trials have
    fewer epochs where the time would allow too few whole ones. Where even those do not fit, nothing is searched, and
    the outcome says so. Towers of ids alone become an ensemble of as many members as there is time for, up to 4.
    """
    return _OptionSearch(lesson, options, seconds, clock, report).run()


class _OptionSearch:
    """The state of a search: the best trial so far, and the time left."""

    def __init__(
        self, lesson: Lesson, options: TrainOptions, seconds: float, clock: Clock, report: Callable[[Trial], None]
    ) -> None:
        self.given, self.clock, self.report = options, clock, report
        self.begun_s = clock.monotonic_s()
        self.seconds, self.end_s = seconds, self.begun_s + seconds
        self.recipe = lesson.recipe(options)
        # Trials treat some offers as new. A search that never met a new offer would prefer whatever remembers the known
        # ones best, and the others would end up last.
        self.lesson = replace(lesson, as_new=_share_of_new_offers(lesson, self.recipe))
        self.averaged = (
            lesson.ids_alone and lesson.earlier is None and self.recipe.objective == "catalog" and not options.hidden
        )
        self.members_max = max(options.members or 1, _MEMBERS if self.averaged else 1)
        # An ensemble that nobody asked for is made whatever the search finds, so its time is kept back.
        self.members_after = self.recipe.members if options.members is None else 1
        self.trials: list[Trial] = []
        self.best: Tried | None = None
        self.default: Tried | None = None
        self.trial_s = 0.0  # of the best options, with all their epochs
        self.share = 1.0  # of the epochs that a trial has

    def run(self) -> Tuning:
        """Measure how long a training takes, search, and decide which options to use."""
        if self.recipe.spectral:
            reason = "nothing was searched: a decomposition chooses its form by itself"
            return Tuning(self.given, (), self._taken_s(), reason)
        self._probe()
        takes = f"one training takes about {self._after_s():,.0f} s"
        if self._after_s() > self._left_s():
            return self._as_given(f"{takes}, more than what is left of the {self.seconds:g} s given")
        if self._left_s() > (PENALTY_TRAININGS + 1) * self._after_s():  # as the training without a search would do
            self.given = with_penalty(self.lesson, self.given)
        self._shorten()
        if self.share < _SHORTENED_MIN or self._try({}) is None:
            return self._as_given(f"{takes}, which leaves too little of the {self.seconds:g} s given for trials")
        self.default = self.best
        for name, values_around in settings_to_try(self.recipe, self.lesson, shortened=self.share < 1):
            self._walk(name, values_around(self.lesson.recipe(self._trial_options({}))))
        return self._decided()

    def _probe(self) -> None:
        """Train two epochs to estimate how long a training takes: the first one includes the setting up."""
        watch = TrialWatch(self.clock, math.inf)

        def after_two(epoch: Epoch) -> bool:
            return watch.stops(epoch) or epoch.number == 2

        fit(self.lesson, self._trial_options({}), report=after_two)
        self.trial_s = watch.first_s + watch.epoch_s * (self.recipe.epochs - 1)

    def _after_s(self) -> float:
        """Return how many seconds the training after the search takes, on all rows."""
        return self.trial_s * _ALL_ROWS * self.members_after

    def _shorten(self) -> None:
        """Choose the share of its epochs that a trial has, so that several trials fit into the time."""
        fitting = (self._left_s() - self._after_s()) / max(self.trial_s, _INSTANT_S)
        if fitting < _WHOLE_TRIALS_MIN and not self.averaged:  # members need the time more than trials do
            self.share = min(1.0, max(fitting, 0.0) / _TRIALS_WANTED)

    def _left_s(self) -> float:
        return self.end_s - self.clock.monotonic_s()

    def _trial_options(self, setting: Setting) -> TrainOptions:
        options = replace(self.given, held_out=max(_HELD_OUT, self.given.held_out), refit=False, members=1)
        if self.best is not None:
            options = replace(options, **self.best.setting)
        return replace(options, **setting)

    def _walk(self, name: str, values: Sequence[Any]) -> None:
        """Try larger values of an option, and smaller ones if none is better; go on while the trials improve."""
        now = self.lesson.recipe(self._trial_options({}))
        start = nearest(values, getattr(now, name))
        for step in (1, -1):
            place, moved = start + step, False
            while 0 <= place < len(values) and self._try({name: values[place]}):
                place, moved = place + step, True
            if moved:
                return

    def _try(self, setting: Setting) -> bool | None:
        """Train with a setting; return whether it is the best so far, None where there was no time."""
        members = self.members_max if self.averaged and self.trials else 1
        # A later trial may end early, so half of its time is enough to begin it; the first must be able to finish.
        if self._left_s() < members * self._after_s() + (0.5 if self.trials else 1) * self.share * self.trial_s:
            return None
        options = self._trial_options(setting)
        whole_epochs = self.lesson.recipe(options).epochs
        if self.share < 1:
            options = replace(options, epochs=max(_EPOCHS_MIN, round(self.share * whole_epochs)))
        rival = () if self.best is None else self.best.fitted.epochs
        watch = TrialWatch(
            self.clock, self.end_s, kept_back=members * self.members_after * whole_epochs * _ALL_ROWS, rival=rival
        )
        fitted = fit(self.lesson, options, report=watch.stops)
        if self.best is None and watch.given_up:
            return None
        return self._weighed(self._tried(setting, options, fitted), watch, whole_epochs)

    def _weighed(self, found: Tried, watch: TrialWatch, whole_epochs: int) -> bool:
        """Record a trial, keep it if it is the best so far, and return whether it is."""
        fitted = found.fitted
        better = not watch.given_up and (self.best is None or found.beats(self.best, _STEP_ERRORS))
        trial = Trial(
            setting=found.last,
            figure="loss" if fitted.best_epoch.held_out_ndcg is None else "nDCG@10",
            badness=fitted.best_epoch.badness,
            epochs=len(fitted.epochs),
            seconds=round(watch.times_s[-1] - watch.begun_s, 3),
            ended=watch.given_up
            or ("all epochs" if len(fitted.epochs) == fitted.recipe.epochs else "no longer better"),
            kept=better,
        )
        self.trials.append(trial)
        self.report(trial)
        if better:
            self.best, self.trial_s = found, watch.first_s + watch.epoch_s * (whole_epochs - 1)
        return better

    def _tried(self, setting: Setting, options: TrainOptions, fitted: Fitted) -> Tried:
        data, (learned, rows) = self.lesson.data, self.lesson.split(fitted.recipe)
        if fitted.recipe.objective == "catalog":
            units = -HeldOutRanking(data, learned, rows).by_customer(fitted.user, fitted.item)
        elif fitted.recipe.objective == "shown" and len(rows):
            units = losses_by_customer(data, rows, fitted.user, fitted.item, fitted.head)
        else:
            units = np.array([fitted.best_epoch.badness])
        before = {} if self.best is None else self.best.setting
        return Tried({**before, **setting}, dict(setting), fitted, units)

    def _decided(self) -> Tuning:
        """Choose the best trial if it is surely better than the default, else the default."""
        best, default = self.best, self.default
        assert best is not None
        assert default is not None
        tried = f"{len(self.trials)} trials"
        if self.share < 1:
            tried += f" of {default.fitted.recipe.epochs} in place of {self.recipe.epochs} epochs"
        if best is not default and not best.beats(default, _SURE_ERRORS):
            best, outcome = default, f"{tried}; none is surely better than the default, which stays"
        elif best is default:
            outcome = f"{tried}; none is better than the default by more than noise, which stays"
        else:
            outcome = f"{tried}; better than the default: {setting_text(best.setting)}"
        options = replace(self.given, **best.setting)
        whole = self.share == 1.0 and options.refit and not self.lesson.as_new
        if whole:  # this trial is already the first half of the training; only the refit is left
            options = replace(options, held_out=best.fitted.recipe.held_out)
        else:
            options = replace(options, refit=options.refit and self._left_s() > 2 * self._after_s())
        options = replace(options, members=self._members(options))
        return Tuning(options, tuple(self.trials), self._taken_s(), outcome, best.fitted if whole else None)

    def _members(self, options: TrainOptions) -> int | None:
        """Return how many members of an ensemble can be trained in the time that is left; None: by the log."""
        if not self.averaged or (options.members or 1) > 1:
            return options.members
        return max(1, min(self.members_max, int(self._left_s() / max(self._after_s(), _INSTANT_S))))

    def _as_given(self, reason: str) -> Tuning:
        """Return the given options for a training without a search; a refit only where there is time for it."""
        options = replace(self.given, refit=self.given.refit and 2 * self._after_s() < self._left_s())
        return Tuning(options, tuple(self.trials), self._taken_s(), f"nothing was searched: {reason}")

    def _taken_s(self) -> float:
        return self.clock.monotonic_s() - self.begun_s


def _share_of_new_offers(lesson: Lesson, recipe: Recipe) -> float:
    """Return the share of the catalog's offers without an acceptance, at most a half.

    It is 0 where that share is negligible, and where towers have no features by which such offers could be ranked.
    """
    data = lesson.data
    if recipe.objective != "catalog" or lesson.ids_alone:
        return 0.0
    place = data.catalog_of[data.offer[data.accepted == 1]]
    share = 1 - len(np.unique(place[place >= 0])) / len(data.catalog)
    return 0.0 if share < _NEW_OFFERS_MIN else min(share, _NEW_OFFERS_MAX)
