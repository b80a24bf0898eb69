"""Estimates what a policy would have earned from the log of another policy with known propensities.

A ranking's places are filled from the top down, and a propensity is an offer's probability to come next given those
above. So the weight of a place is the product of the ratios down to it (reward-interaction IPS: McInerney et al., KDD
2020, arXiv:2007.12986), and the doubly robust estimate corrects the direct method place by place. For rankings of one
place these are the textbook estimators (Dudík et al., ICML 2011).

An estimate is refused where the weights leave too little of the sample, and where their mean is not 1: then the log
lacks rankings that the policy would give, and no weighting can supply them.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stream_scorer.core.evaluation.intervals import Interval, bootstrap

Floats = npt.NDArray[np.float64]

ESS_MIN = 100.0
MEAN_WEIGHT_OFF_MAX = 0.1


@dataclass(frozen=True, slots=True)
class LoggedPlaces:
    """Rankings as arrays (n, places); absent places have `present` False and count nothing.

    `chance` is the target policy's probability of the logged offer given those above. `predicted` is a model's
    expectation of the reward of the logged offer, `expected` its mean over the target policy's choice at that place,
    and `imagined` the same mean in a whole ranking drawn from the target policy.
    """

    present: npt.NDArray[np.bool_]
    reward: Floats
    propensity: Floats
    chance: Floats
    predicted: Floats
    expected: Floats
    imagined: Floats


@dataclass(frozen=True, slots=True)
class OffPolicy:
    """Rewards per ranking; `refused` says why there is no estimate.

    The direct method's interval ignores the error of its reward model.
    """

    requests: int
    logged: Interval | None
    effective_sample_size: float
    largest_weight: float
    mean_weight: float  # at the place where it is farthest from 1
    ips: Interval | None
    snips: Interval | None
    direct: Interval | None
    doubly_robust: Interval | None
    refused: str | None


def no_estimate(requests: int, reason: str) -> OffPolicy:
    """Return figures that state nothing but the reason, not even the logged reward."""
    return OffPolicy(requests, None, 0.0, 0.0, 0.0, None, None, None, None, reason)


def off_policy(
    log: LoggedPlaces, rng: np.random.Generator, *, ess_min: float = ESS_MIN, weight_max: float = np.inf
) -> OffPolicy:
    """Estimate the reward per ranking; weights above `weight_max` are cut to it."""
    # An absent place has the ratio 1, so that it leaves the product alone.
    ratio = np.where(log.present, log.chance / np.where(log.present, log.propensity, 1.0), 1.0)
    product = np.cumprod(ratio, axis=1)
    weight = np.where(log.present, np.minimum(product, weight_max), 0.0)
    before = np.where(
        log.present, np.minimum(np.column_stack([np.ones(len(product)), product[:, :-1]]), weight_max), 0.0
    )
    reward = np.where(log.present, log.reward, 0.0)
    logged = bootstrap(reward.sum(axis=1, keepdims=True), _mean, rng)
    assert logged is not None
    ess, largest = _effective(weight, log.present), float(weight.max(initial=0.0))
    direct = bootstrap(np.where(log.present, log.imagined, 0.0).sum(axis=1, keepdims=True), _mean, rng)
    mean, mean_off = _mean_weight(np.asarray(product, np.float64), log.present)
    reason = _reason(ess, ess_min, len(weight), mean, mean_off)
    if reason is not None:
        return OffPolicy(len(weight), logged, ess, largest, mean, None, None, direct, None, reason)
    # At each place: the model's expectation, plus the weighted error of its prediction for the logged offer.
    corrected = before * log.expected + weight * (reward - np.where(log.present, log.predicted, 0.0))
    return OffPolicy(
        requests=len(weight),
        logged=logged,
        effective_sample_size=ess,
        largest_weight=largest,
        mean_weight=mean,
        ips=bootstrap((weight * reward).sum(axis=1, keepdims=True), _mean, rng),
        snips=_self_normalised(weight, reward, log.present, rng),
        direct=direct,
        doubly_robust=bootstrap(corrected.sum(axis=1, keepdims=True), _mean, rng),
        refused=None,
    )


def _reason(ess: float, ess_min: float, requests: int, mean: float, mean_off: float) -> str | None:
    """Return why there is no estimate; None where there is no reason."""
    if ess < ess_min:
        return f"the effective sample size is {ess:,.0f} of {requests:,} rankings, at least {ess_min:,.0f} is needed"
    if mean_off > MEAN_WEIGHT_OFF_MAX:
        return f"the log lacks rankings that the policy would give: the mean weight is {mean:.2f}, not 1"
    return None


def _mean_weight(product: Floats, present: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Return the mean weight at the place where it is farthest from 1, and its distance less three standard errors."""
    worst, off = 1.0, 0.0
    for place in range(product.shape[1]):
        weights = product[present[:, place], place]
        if len(weights):
            mean, error = float(weights.mean()), float(weights.std() / np.sqrt(len(weights)))
            if abs(mean - 1) - 3 * error > off or (not off and abs(mean - 1) > abs(worst - 1)):
                worst, off = mean, max(off, abs(mean - 1) - 3 * error)
    return worst, off


def _self_normalised(
    weight: Floats, reward: Floats, present: npt.NDArray[np.bool_], rng: np.random.Generator
) -> Interval | None:
    """Return the self-normalised estimate, which divides by the mean weight place by place."""
    places = weight.shape[1]
    parts = np.concatenate([weight * reward, weight, present.astype(np.float64)], axis=1)

    def estimate(sums: Floats, count: int) -> Floats:
        earned, weights, filled = sums[:, :places], sums[:, places : 2 * places], sums[:, 2 * places :]
        return np.asarray((earned / np.where(weights > 0, weights, 1.0) * filled / count).sum(axis=1))

    return bootstrap(parts, estimate, rng)


def _mean(sums: Floats, count: int) -> Floats:
    return np.asarray(sums[:, 0] / count)


def _effective(weight: Floats, present: npt.NDArray[np.bool_]) -> float:
    """Return the least effective sample size (Σw)² / Σw² over the places that at least half of the rankings have."""
    squares = (weight**2).sum(axis=0)
    sizes = np.where(squares > 0, weight.sum(axis=0) ** 2 / np.where(squares > 0, squares, 1.0), 0.0)
    common = present.mean(axis=0) >= 0.5
    return float(sizes[common].min()) if common.any() else 0.0
