"""The options of train: their help states the defaults that hold."""

import inspect
import re
from typing import Any, get_args

import pytest

from stream_scorer.cli.train import train
from stream_scorer.core.datasets.traits import LogTraits
from stream_scorer.training.h2o.options import H2oOptions
from stream_scorer.training.options import Recipe, TrainOptions

ROWS = 10_000


def stated_defaults(option: str) -> list[float]:
    """Return the numbers of an option's default as its help shows it, in order."""
    annotation = inspect.signature(train, eval_str=True).parameters[option].annotation
    return [
        float(number) for number in re.findall(r"(?<![\w.])\d+(?:\.\d+)?", str(get_args(annotation)[1].show_default))
    ]


def recipe(*, everything_accepted: bool, repeats: float = 0.0) -> Recipe:
    log = LogTraits(ROWS, accepted=ROWS, everything_accepted=everything_accepted, repeats=repeats, density=0.1)
    return TrainOptions().recipe(log, ids_alone=False)


@pytest.mark.parametrize("option", ["dim", "epochs", "learning_rate", "prior", "temperature"])
def test_help_states_the_defaults_that_hold(option: str) -> None:
    both = [getattr(recipe(everything_accepted=everything), option) for everything in (False, True)]
    of_h2o: list[Any] = [H2oOptions().epochs] if option == "epochs" else []
    assert stated_defaults(option) == [*both, *of_h2o]


def test_help_states_the_widths_that_hold() -> None:
    assert stated_defaults("width") == [
        recipe(everything_accepted=False).width,
        recipe(everything_accepted=True, repeats=0.9).width,
    ]
