"""Searches what a training is told, one thing after the other, judged on an inner split of the rows by time."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from stream_scorer.ports import Clock
from stream_scorer.towers.options import Recipe, TrainOptions
from stream_scorer.towers.training import Lesson, fit

_HELD_OUT = 0.2
_BETTER = 0.002  # relative; less is luck

Setting = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Trial:
    """One training of the search; `badness` is the held-out loss, or the negative nDCG@10 for the objective `catalog`."""

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


def tune(lesson: Lesson, options: TrainOptions, *, seconds: float, clock: Clock, report: Callable[[Trial], None]) -> Tuned:
    """Move from setting to setting while it gets better, until the time is up or nothing is left to try.

    What is given in `options` is where the search begins. A trial is not begun when it would end too late.
    """
    search = _Search(lesson, options, clock.monotonic_s() + seconds, clock, report)
    for name, values_around in _settings(search.recipe, lesson):
        search.walk(name, values_around(search.recipe))
    return Tuned(search.best, tuple(search.trials))


class _Search:
    """Where the search stands."""

    def __init__(self, lesson: Lesson, options: TrainOptions, end_s: float, clock: Clock, report: Callable[[Trial], None]) -> None:
        self.lesson, self.best, self.end_s, self.clock, self.report = lesson, options, end_s, clock, report
        self.trials: list[Trial] = []
        self.longest_s = 0.0
        self.badness = float("inf")
        self._try({})

    @property
    def recipe(self) -> Recipe:
        """The best so far, with nothing left open."""
        return self.lesson.recipe(self.best)

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
        if begun_s + self.longest_s > self.end_s and self.trials:
            return False
        options = replace(self.best, **setting)
        fitted = fit(self.lesson, replace(options, held_out=_HELD_OUT, refit=False), report=lambda epoch: None)
        self.longest_s = max(self.longest_s, self.clock.monotonic_s() - begun_s)
        badness = fitted.best_epoch.badness
        better = badness < self.badness - _BETTER * abs(badness)
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
        ]
    by_id_alone = len(lesson.user_spec.slots) == 1 and not lesson.user_spec.numbers
    return [
        ("temperature", lambda now: _around(now.temperature, factor=1.2)),
        ("dim", lambda now: _doubled(now.dim, most=512)),
        *([("id_dropout", lambda now: (0.0, 0.03, 0.1)), ("history", lambda now: (False, True))] if by_id_alone else []),
        ("learning_rate", lambda now: _around(now.learning_rate, factor=2.0)),
        ("prior", lambda now: (0.0, 1.0, 3.0, 10.0, 30.0, 100.0)),
        ("temperature", lambda now: _around(now.temperature, factor=1.08)),
    ]


def _around(value: float, *, factor: float) -> Sequence[float]:
    return tuple(value * factor**step for step in range(-4, 5))


def _doubled(value: int, *, most: int) -> Sequence[int]:
    return tuple(sorted({value} | {2**power for power in range(3, 11) if 2**power <= most}))


def _nearest(values: Sequence[Any], value: Any) -> int:
    """Return the place of a value in the list, or of the nearest one."""
    if value in values:
        return values.index(value)
    return min(range(len(values)), key=lambda place: abs(values[place] - value))
