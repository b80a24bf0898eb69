"""Measures what a score says about the odds of an acceptance: a logistic curve through scores, and its error."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

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
