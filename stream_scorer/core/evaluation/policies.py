"""Target policies for off-policy estimates: the probability of each logged offer given those above it.

A model's policy fills places from the top down, as `core/ranking/exploration.py` does in serving. It draws from the
pool of the best offers that are left: with probability `floor` (epsilon) any of them with equal chance, else by the
softmax of the scores at `temperature`, or the best at temperature 0.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ModelPolicy:
    """How a model's scores become rankings."""

    temperature: float = 0.0
    floor: float = 0.0
    pool: int = 100


@dataclass(frozen=True, slots=True)
class NextOffers:
    """The next place of a batch of rankings: the probability (b, pool) of each offer of the pool to fill it."""

    offers: Places  # (b, pool) of the catalog
    chances: Floats


class Pool:
    """The offers of a batch of rankings that are not placed yet."""

    def __init__(self, scores: Floats, policy: ModelPolicy, ties: Floats | None = None) -> None:
        """Take the best offers by scores (b, N), then by `ties` (b, N); an offer at -inf is never chosen."""
        size = min(policy.pool, scores.shape[1])
        order = np.argsort(-scores, axis=1, kind="stable") if ties is None else np.lexsort((-ties, -scores), axis=1)
        self.offers: Places = order[:, :size]
        self.scores: Floats = np.take_along_axis(scores, self.offers, axis=1)
        self.policy = policy

    def choices(self) -> NextOffers:
        """Return which offers may come next, and how probably."""
        left = np.isfinite(self.scores)
        alike = left / np.maximum(left.sum(axis=1, keepdims=True), 1)
        return NextOffers(self.offers, (1 - self.policy.floor) * self._softmax(left) + self.policy.floor * alike)

    def _softmax(self, left: npt.NDArray[np.bool_]) -> Floats:
        best = np.where(left, self.scores, -np.inf).max(axis=1, keepdims=True)
        best = np.where(np.isfinite(best), best, 0.0)
        if not self.policy.temperature:
            chances = np.zeros_like(self.scores)
            chances[np.arange(len(chances)), np.where(left, self.scores, -np.inf).argmax(axis=1)] = 1.0
            return chances * left.any(axis=1, keepdims=True)
        weights = np.where(left, np.exp((np.where(left, self.scores, best) - best) / self.policy.temperature), 0.0)
        return np.asarray(weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-300))

    def remove(self, placed: Places) -> None:
        """Take the placed offers (b,) out of the pool; an offer that is not in it changes nothing."""
        self.scores = np.where(self.offers == placed[:, None], -np.inf, self.scores)


def drawn(choices: NextOffers, uniform: Floats) -> Places:
    """Draw one offer per ranking (b,), by uniform numbers (b,)."""
    sums = np.cumsum(choices.chances, axis=1)
    # The sums may end a rounding error off 1: the last scales the draw, and the minimum keeps it inside the pool.
    column = np.minimum((sums < uniform[:, None] * sums[:, -1:]).sum(axis=1), sums.shape[1] - 1)
    return np.asarray(choices.offers[np.arange(len(column)), column])


def chance_of(choices: NextOffers, placed: Places) -> Floats:
    """Return the probability (b,) of the offers that were placed."""
    return np.asarray(np.where(choices.offers == placed[:, None], choices.chances, 0.0).sum(axis=1))
