"""Measures what a score says about the odds of an acceptance, and of a choice among the offers of a request.

Acceptances by a logistic curve through scores, choices by a softmax (conditional logit, McFadden 1974).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stream_scorer.core.evaluation.intervals import Interval, normal_interval

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

CHOICES_MIN = 20
_SCALES = np.geomspace(0.05, 100.0, 120)
_FITTED_MAX = 4_000  # choices that a scale is fitted to: more would hardly move it, and cost seconds

_BINS = 10
_NEWTON_STEPS = 25
_RIDGE = 1e-3


@dataclass(frozen=True, slots=True)
class Bin:
    """Rows of like predictions: how many there are, their mean prediction, and the share that was accepted."""

    rows: int
    predicted: float
    accepted: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """How good predictions are on each half of the customers by a curve fitted to the other half.

    `error` is the mean gap over bins between the mean prediction and the share that was accepted.
    """

    log_loss: float
    base_log_loss: float  # of always predicting the mean
    error: float
    bins: tuple[Bin, ...]


def logistic_fit(features: Floats, accepted: Floats, counts: Floats | float = 1.0) -> Floats:
    """Return weights (m,) of a logistic regression on features (n, m), by Newton's method, with a slight ridge.

    `counts` (n,) says how many rows each stands for.
    """
    weights = np.zeros(features.shape[1])
    for _ in range(_NEWTON_STEPS):
        odds = sigmoid(features @ weights)
        gradient = features.T @ (counts * (odds - accepted)) + _RIDGE * weights
        curvature = (features * (counts * odds * (1 - odds))[:, None]).T @ features + _RIDGE * np.eye(len(weights))
        step = np.linalg.solve(curvature, gradient)
        # Where a feature nearly separates the labels, a full step may overshoot: each weight moves by at most 2.
        weights -= np.clip(step, -2.0, 2.0)
        if np.abs(step).max() < 1e-9:
            break
    return weights


def calibration(
    fold: npt.NDArray[np.bool_], scores: Floats, accepted: Floats, counts: Floats | None = None
) -> Calibration | None:
    """Judge scores (n,); `fold` halves the rows, by customer. None where a half has only one kind of label.

    `counts` (n,) says how many rows each stands for: a sampled negative for several.
    """
    counts = np.ones(len(scores)) if counts is None else counts
    predicted = np.empty(len(scores))
    design = np.column_stack([np.ones(len(scores)), scores])
    for half in (fold, ~fold):
        if not 0 < accepted[~half].sum() < (~half).sum() or not half.any():
            return None
        predicted[half] = sigmoid(design[half] @ logistic_fit(design[~half], accepted[~half], counts[~half]))
    bins = _bins(predicted, accepted, counts)
    base = np.full(len(scores), np.average(accepted, weights=counts))
    return Calibration(_log_loss(predicted, accepted, counts), _log_loss(base, accepted, counts), _error(bins), bins)


def sigmoid(log_odds: Floats) -> Floats:
    """Return probabilities; log-odds beyond ±60 count as ±60, so that exp cannot overflow."""
    return np.asarray(1 / (1 + np.exp(-np.clip(log_odds, -60, 60))))


def _bins(predicted: Floats, accepted: Floats, counts: Floats) -> tuple[Bin, ...]:
    order = np.argsort(predicted, kind="stable")
    parts = [part for part in np.array_split(order, _BINS) if len(part)]
    means = [np.average(np.column_stack([predicted, accepted])[part], axis=0, weights=counts[part]) for part in parts]
    return tuple(Bin(len(part), float(mean[0]), float(mean[1])) for part, mean in zip(parts, means, strict=True))


def _error(bins: tuple[Bin, ...]) -> float:
    return sum(one.rows * abs(one.predicted - one.accepted) for one in bins) / sum(one.rows for one in bins)


def _log_loss(predicted: Floats, accepted: Floats, counts: Floats) -> float:
    odds = np.clip(predicted, 1e-12, 1 - 1e-12)
    return float(-np.average(accepted * np.log(odds) + (1 - accepted) * np.log(1 - odds), weights=counts))


@dataclass(frozen=True, slots=True)
class ChoiceFigure:
    """Mean of -log of the odds of the accepted offer, and how often it has the highest score of its request."""

    log_loss: Interval
    top_1: Interval


@dataclass(frozen=True, slots=True)
class Choices:
    """Choices by requests that show several offers, of which one was accepted; both figures are None for too few.

    `final` is of both stages where the model has a re-ranker, else of the towers, and `popularity` of the offers'
    shares of the acceptances before. `uniform_log_loss` is that of equal odds. `reason` says why there are no figures.
    """

    requests: int
    final: ChoiceFigure | None = None
    popularity: ChoiceFigure | None = None
    uniform_log_loss: float | None = None
    reason: str | None = None


def choices(request: Ints, scores: Floats, popularity: Floats, accepted: npt.NDArray[np.int8]) -> Choices:
    """Judge rows (n,) by request; `popularity` counts each offer's acceptances before.

    The scale of the scores is fitted to every other choice, and judges the rest: no choice is judged by its own scale.
    """
    group = np.unique(request, return_inverse=True)[1].reshape(-1)
    one = (np.bincount(group, accepted) == 1) & (np.bincount(group) > 1)
    rows = np.flatnonzero(one[group])
    if (count := int(one.sum())) < CHOICES_MIN:
        reason = f"choices need {CHOICES_MIN} requests of several offers with one accepted, got {count}"
        return Choices(count, reason=reason)
    rows = rows[np.argsort(group[rows], kind="stable")]
    shown, chosen = np.unique(group[rows], return_inverse=True)[1].reshape(-1), accepted[rows] == 1
    shares = np.log(popularity[rows] + 1.0)
    return Choices(
        count,
        _figure(_losses(shown, scores[rows], chosen), shown, scores[rows], chosen),
        _figure(_losses_at(shown, shares, chosen), shown, shares, chosen),
        float(np.log(np.bincount(shown)).mean()),
    )


def _figure(losses: Floats, shown: Ints, scores: Floats, chosen: npt.NDArray[np.bool_]) -> ChoiceFigure | None:
    best = np.maximum.reduceat(scores, np.flatnonzero(np.diff(shown, prepend=-1)))[shown]
    # An accepted offer that shares the highest score with others counts by its odds to stand first.
    first = (chosen[scores == best]).astype(np.float64), shown[scores == best]
    hits = np.bincount(first[1], first[0]) / np.bincount(first[1])
    loss, top_1 = normal_interval(losses), normal_interval(hits)
    return None if loss is None or top_1 is None else ChoiceFigure(loss, top_1)


def _losses(shown: Ints, scores: Floats, chosen: npt.NDArray[np.bool_]) -> Floats:
    """Return the loss of each choice by the scale that loses least on the other half of the choices."""
    number = np.arange(int(shown[-1]) + 1)
    # Neighbours stay together, so that both halves are thinned alike.
    fitted = number // 2 % -(-len(number) // _FITTED_MAX) == 0
    rows, odd = fitted[shown], number % 2 == 1
    some = np.unique(shown[rows], return_inverse=True)[1].reshape(-1)
    by_scale = np.stack([_losses_at(some, scale * scores[rows], chosen[rows]) for scale in _SCALES])
    even_best, odd_best = (_SCALES[by_scale[:, half].mean(axis=1).argmin()] for half in (~odd[fitted], odd[fitted]))
    return _losses_at(shown, np.where(odd, even_best, odd_best)[shown] * scores, chosen)


def _losses_at(shown: Ints, log_odds: Floats, chosen: npt.NDArray[np.bool_]) -> Floats:
    highest = np.maximum.reduceat(log_odds, np.flatnonzero(np.diff(shown, prepend=-1)))
    total = np.log(np.bincount(shown, np.exp(log_odds - highest[shown]))) + highest
    return np.asarray(total - log_odds[chosen])
