"""Searches what a training is told, one thing after the other, judged on an inner split of the rows by time."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any

from stream_scorer.ports import Clock
from stream_scorer.training.joint import Lesson, fit
from stream_scorer.training.options import Recipe, TrainOptions

_HELD_OUT = 0.2
_BETTER = 0.002  # relative; less is luck
_STRAY = 0.5  # of the nDCG's standard error: about that of a difference, since both are of the same customers
_MEMBERS = 4

Setting = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Trial:
    """One training of the search.

    `badness` is the held-out loss, or the negative nDCG@10 for the objective `catalog`.
    """

    setting: dict[str, Any]
    badness: float
    epochs: int
    kept: bool


@dataclass(frozen=True, slots=True)
class Tuned:
    """The options that were best, and all trials."""

    options: TrainOptions
    trials: tuple[Trial, ...]

    @property
    def facts(self) -> list[dict[str, Any]]:
        """The trials as JSON values."""
        return [asdict(trial) for trial in self.trials]


def tune(
    lesson: Lesson, options: TrainOptions, *, seconds: float, clock: Clock, report: Callable[[Trial], None]
) -> Tuned:
    """Move from setting to setting while it gets better, until nothing is left to try, or just what the last training needs of the time.

    What is given in `options` is where the search begins. Towers of ids alone get as many members as there is time for,
    a few.
    """
    search = _Tuning(lesson, options, clock.monotonic_s() + seconds, clock, report)
    for name, values_around in _settings(search.recipe, lesson):
        search.walk(name, values_around(search.recipe))
    return Tuned(search.with_members(), tuple(search.trials))


class _Tuning:
    """Where the search stands."""

    def __init__(
        self, lesson: Lesson, options: TrainOptions, end_s: float, clock: Clock, report: Callable[[Trial], None]
    ) -> None:
        self.lesson, self.best, self.end_s, self.clock, self.report = lesson, options, end_s, clock, report
        self.trials: list[Trial] = []
        self.seconds: list[float] = []
        self.badness = float("inf")
        self.averaged = (
            lesson.ids_alone and lesson.earlier is None and self.recipe.objective == "catalog" and not options.hidden
        )
        self.members_max = max(options.members, _MEMBERS if self.averaged else 1)
        self._try({})

    @property
    def recipe(self) -> Recipe:
        """The best so far, with nothing left open."""
        return self.lesson.recipe(self.best)

    @property
    def trial_s(self) -> float:
        """How long a trial takes.

        The first one sets things up, too, and those of other sizes take longer or shorter.
        """
        return median(self.seconds or [0.0])

    def with_members(self) -> TrainOptions:
        """Return the best options, with as many members as can be trained in the time that is left."""
        if not self.averaged or self.best.members > 1:
            return self.best
        left = int((self.end_s - self.clock.monotonic_s()) / max(self.trial_s, 1e-3)) - 1
        return replace(self.best, members=max(1, min(self.members_max, left)))

    def walk(self, name: str, values: Sequence[Any]) -> None:
        """Try the values on both sides of where it stands, and go on in the direction that is better."""
        start = _nearest(values, getattr(self.recipe, name))
        for step in (1, -1):
            place, moved = start + step, False
            while 0 <= place < len(values) and self._try({name: values[place]}):
                place, moved = place + step, True
            if moved:
                return

    def _try(self, setting: Setting) -> bool:
        begun_s = self.clock.monotonic_s()
        if (
            begun_s + self.trial_s * (2 + self.members_max) > self.end_s and self.trials
        ):  # one to measure by, and the members
            return False
        options = replace(self.best, **setting)
        fitted = fit(
            self.lesson, replace(options, held_out=_HELD_OUT, refit=False, members=1), report=lambda epoch: None
        )
        self.seconds.append(self.clock.monotonic_s() - begun_s)
        badness = fitted.best_epoch.badness
        luck = max(_BETTER * abs(badness), _STRAY * fitted.best_epoch.held_out_ndcg_error)
        better = badness < self.badness - luck
        if better:
            self.best, self.badness = options, badness
        trial = Trial(dict(setting), badness, fitted.best, better)
        self.trials.append(trial)
        self.report(trial)
        return better


def _settings(recipe: Recipe, lesson: Lesson) -> list[tuple[str, Callable[[Recipe], Sequence[Any]]]]:
    """Return what is searched, the most telling first: a name, and its values in order around where the search stands."""
    if recipe.objective == "shown":
        return [
            ("prior", lambda now: _around(now.prior, factor=3.0)),
            ("dim", lambda now: _doubled(now.dim, most=128)),
            ("hidden", lambda now: ((), (64,))),
            ("catalog_weight", lambda now: (0.0, 0.3)),
            ("temperature", lambda now: _around(now.temperature, factor=2.0)),
            ("width", lambda now: _doubled(now.width, most=64)),
            ("epochs", _epochs),
        ]
    return [
        ("temperature", lambda now: _around(now.temperature, factor=1.2)),
        ("dim", lambda now: _doubled(now.dim, most=256)),
        *([("history", lambda now: (False, True))] if lesson.ids_alone else []),
        ("learning_rate", lambda now: _around(now.learning_rate, factor=2.0)),
        ("prior", lambda now: (0.0, 1.0, 3.0, 10.0, 30.0, 100.0)),
        ("epochs", _epochs),
    ]


def _around(value: float, *, factor: float) -> Sequence[float]:
    return tuple(value * factor**step for step in range(-4, 5))


def _epochs(now: Recipe) -> Sequence[int]:
    return tuple(sorted({max(1, now.epochs // 2), now.epochs, now.epochs * 2}))


def _doubled(value: int, *, most: int) -> Sequence[int]:
    return tuple(sorted({value} | {2**power for power in range(3, 11) if 2**power <= most}))


def _nearest(values: Sequence[Any], value: Any) -> int:
    """Return the place of a value in the list, or of the nearest one."""
    if value in values:
        return values.index(value)
    return min(range(len(values)), key=lambda place: abs(values[place] - value))
