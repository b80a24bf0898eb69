"""Trains both towers by a decomposition of who accepted what, in place of steps along a gradient."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from stream_scorer.core.datasets.training_set import Places
from stream_scorer.training.held_out import HeldOutRanking
from stream_scorer.training.lesson import Epoch, Fitted, Lesson, device_of, limit_threads, tower_of
from stream_scorer.training.objective import AcceptanceHead
from stream_scorer.training.options import Recipe
from stream_scorer.training.spectral import ADDED, FORMS_MAX, RANK_MAX, AcceptedMatrix, Spectrum, VectorForm, best_form


def decomposed(
    lesson: Lesson, recipe: Recipe, rank: int | None, split: tuple[Places, Places], report: Callable[[Epoch], object]
) -> Fitted:
    """Decompose who accepted what instead of training; each form of vectors that is tried is reported as an epoch.

    Held-out rows decide which form is best. An epoch's `loss` is the share of the matrix that the decomposition leaves
    out.
    """
    limit_threads(recipe)
    rows, held_out = split
    found = _spectrum(lesson, recipe, rows, rank or RANK_MAX)
    ranking, forms, epochs = HeldOutRanking(lesson.data, rows, held_out), list[VectorForm](), list[Epoch]()

    def judge(form: VectorForm) -> float:
        user, item = found.towers(form, lesson.user_spec, lesson.item_spec)
        ndcg, error = ranking.ndcg(user, item) if len(held_out) else (None, 0.0)
        epoch = Epoch(len(epochs) + 1, FORMS_MAX, found.left_out, held_out_ndcg=ndcg, held_out_ndcg_error=error)
        forms.append(form)
        epochs.append(epoch)
        report(epoch)
        return ndcg or 0.0

    form = best_form(judge, rank_max=len(found.values), rank=rank)
    user, item = found.towers(form, lesson.user_spec, lesson.item_spec)
    head = AcceptanceHead(dim=form.rank + ADDED, temperature=recipe.temperature, rate=0.5)
    recipe = replace(recipe, dim=form.rank + ADDED)
    fitted = Fitted(user, item, head, recipe, tuple(epochs), forms.index(form) + 1, held_out)
    if not recipe.refit or not len(held_out):
        return fitted
    again = _spectrum(lesson, recipe, np.arange(len(lesson.data)), form.rank)
    user, item = again.towers(form, lesson.user_spec, lesson.item_spec)
    return replace(fitted, user=user, item=item, measured=(tower_of(fitted.user), tower_of(fitted.item)))


def _spectrum(lesson: Lesson, recipe: Recipe, rows: Places, rank: int) -> Spectrum:
    heights = {"customers": lesson.user_spec.table_rows, "offers": lesson.item_spec.table_rows}
    matrix = AcceptedMatrix.of(lesson.data, rows, **heights)
    return Spectrum(matrix, rank=rank, seed=recipe.seed, device=device_of(recipe.device))
