"""Chooses the L2 penalty by cross-validation where acceptances are few."""

from dataclasses import replace

import numpy as np

from stream_scorer.core.datasets.training_set import Places
from stream_scorer.training.joint import trained
from stream_scorer.training.lesson import Lesson
from stream_scorer.training.options import Recipe, TrainOptions

# The weaker one is the default: it lets in what depends on both sides. The stronger one keeps noise out of an offer's
# appeal, which helps a little in most logs and harms much where tastes are strong.
_PENALTIES = (10.0, 30.0)
_FOLDS = 3  # of two, each half alone is so small that the stronger penalty wins where the weaker is right
_ACCEPTED_MIN = 60  # twenty a fold; with fewer the choice would be luck
_ROWS_MAX = 4_000  # the choice makes a training five times as long, which is seconds for so many rows
# What the choice takes, in whole trainings: a fold's training has the rows of the others.
PENALTY_TRAININGS = len(_PENALTIES) * (_FOLDS - 1)


def with_penalty(lesson: Lesson, options: TrainOptions) -> TrainOptions:
    """Return the options with the penalty that loses least on folds it has not learned from.

    They stay as they are where acceptances are many, where the choice would be luck, and where a penalty is given.
    """
    recipe = lesson.recipe(options)
    accepted, rows = int(lesson.data.accepted.sum()), len(lesson.data)
    if options.prior is not None or recipe.chooses_epoch or accepted < _ACCEPTED_MIN or rows > _ROWS_MAX:
        return options
    return replace(options, prior=min(_PENALTIES, key=lambda prior: _loss(lesson, replace(recipe, prior=prior))))


def _loss(lesson: Lesson, recipe: Recipe) -> float:
    """Return the sum of the losses of all folds. The rows that judge the model at last are in none of them."""
    rows, _ = lesson.split(recipe)
    # The number of a request is a hash, so folds are drawn at random, and no request is split between two.
    fold = lesson.data.request[rows] % _FOLDS
    parts = [(rows[fold != number], rows[fold == number]) for number in range(_FOLDS)]
    return float(np.sum([held_out_loss(lesson, recipe, *part) * len(part[1]) for part in parts if len(part[1])]))


def held_out_loss(lesson: Lesson, recipe: Recipe, rows: Places, held_out: Places) -> float:
    """Train on some rows for all epochs, and return the mean loss of others."""
    done = trained(lesson, replace(recipe, chooses_epoch=False), rows, held_out, lambda epoch: None, end=recipe.epochs)
    loss = done.epochs[-1].held_out_loss
    return float("inf") if loss is None else loss
