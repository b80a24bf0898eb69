"""Which options a search tries, in which order, and in which steps."""

from collections.abc import Callable, Sequence
from typing import Any

from stream_scorer.training.lesson import Lesson
from stream_scorer.training.options import Recipe

Values = Callable[[Recipe], Sequence[Any]]

# In a shorter schedule whatever learns faster looks better, so trials of fewer epochs cannot judge these.
_OF_WHOLE_TRIALS = {"dim", "hidden", "learning_rate", "epochs"}


def settings_to_try(recipe: Recipe, lesson: Lesson, *, shortened: bool) -> list[tuple[str, Values]]:
    """Return the options to search, the most effective first: the name of each, and its values in order.

    The values are a function of the recipe of the moment, as most of them lie around its present value.
    """
    found = _settings(recipe, lesson)
    return [(name, values) for name, values in found if not (shortened and name in _OF_WHOLE_TRIALS)]


def _settings(recipe: Recipe, lesson: Lesson) -> list[tuple[str, Values]]:
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
        ("temperature", lambda now: _around(now.temperature, factor=1.4)),
        *([("width", lambda now: _doubled(now.width, most=128))] if not lesson.ids_alone else []),
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


def nearest(values: Sequence[Any], value: Any) -> int:
    """Return the index of a value in the list, or of the one nearest to it."""
    if value in values:
        return values.index(value)
    return min(range(len(values)), key=lambda place: abs(values[place] - value))
