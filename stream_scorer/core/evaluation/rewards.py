"""A logistic model of rewards for the direct method, from an offer's own log-odds, its score and its place."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stream_scorer.core.evaluation.calibration import logistic_fit, sigmoid

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

_PRIOR_ROWS = 20.0  # rows at the mean rate that are added to each offer's own


@dataclass(frozen=True, slots=True)
class RewardModel:
    """Log-odds of an acceptance: constant + a · score + b · the offer's own log-odds + c · log(place)."""

    weights: Floats  # (4,)
    offers: Floats  # (N,)

    def predict(self, scores: Floats, offers: Places, place: Places) -> Floats:
        """Return probabilities of the shape of `scores`; places count from 1."""
        constant, score, offer, rank = self.weights
        own = np.where(offers >= 0, self.offers[offers], 0.0)
        return sigmoid(constant + score * scores + offer * own + rank * np.log(place))


def fit_rewards(scores: Floats, offers: Places, places: Places, accepted: Floats, *, catalog: int) -> RewardModel:
    """Fit to rows (n,); an offer's log-odds are shrunk towards the mean, the more the fewer rows it has."""
    mean = float(np.clip(accepted.mean(), 1e-6, 1 - 1e-6))
    known = offers >= 0
    shown = np.bincount(offers[known], minlength=catalog)
    taken = np.bincount(offers[known], accepted[known], minlength=catalog)
    rate = (taken + _PRIOR_ROWS * mean) / (shown + _PRIOR_ROWS)
    own = np.log(rate / (1 - rate)) - np.log(mean / (1 - mean))
    design = np.column_stack([np.ones(len(scores)), scores, np.where(known, own[offers], 0.0), np.log(places)])
    return RewardModel(logistic_fit(design, accepted), own)
