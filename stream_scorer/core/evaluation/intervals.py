"""Confidence intervals by the percentile bootstrap, which resamples customers or requests, never rows."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stream_scorer.core.held_out.beside import PAIRED_MIN, Z95

Floats = npt.NDArray[np.float64]

_RESAMPLES = 1_000
_DRAWS_MAX = 50_000_000


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and its 95 % interval; None stands in its place where there is nothing to estimate from."""

    value: float
    low: float
    high: float


def beyond_noise(difference: Interval, customers: int) -> int:
    """Return 1 where a difference paired by customer is above 0 by more than noise, -1 where it is below, else 0.

    Too few customers show nothing: resampled, the difference of a single customer is an interval without width.
    """
    if customers < PAIRED_MIN:
        return 0
    return int(difference.low > 0) - int(difference.high < 0)


def mean_interval(values: Floats, rng: np.random.Generator) -> Interval | None:
    """Return the mean of independent values (n,), and its interval."""
    return bootstrap(values[:, None], lambda sums, count: sums[:, 0] / count, rng)


def normal_interval(values: Floats) -> Interval | None:
    """Return the mean of independent values (n,) and its interval by the standard error; None for fewer than two.

    It stands in for the bootstrap where figures are many: a thousand resamples for each would take minutes.
    """
    if len(values) < 2:
        return None
    mean, half = float(values.mean()), Z95 * float(values.std(ddof=1)) / np.sqrt(len(values))
    return Interval(mean, float(mean - half), float(mean + half))


def share_interval(hits: int, of: int) -> Interval | None:
    """Return a share and its interval by Wilson's score (1927), which holds for few and for rare hits, too."""
    if not of:
        return None
    share, per = hits / of, Z95**2 / of
    middle = (share + per / 2) / (1 + per)
    half = Z95 * math.sqrt(share * (1 - share) / of + per / (4 * of)) / (1 + per)
    return Interval(share, max(0.0, middle - half), min(1.0, middle + half))


def bootstrap(parts: Floats, estimate: Callable[[Floats, int], Floats], rng: np.random.Generator) -> Interval | None:
    """Return an estimate and its interval, by resampling the units, which are the rows of `parts` (n, m).

    `estimate` gives the estimates (r,) of r resamples from the sums (r, m) of their parts, and from n.
    """
    count = len(parts)
    if not count:
        return None
    resamples = max(100, min(_RESAMPLES, _DRAWS_MAX // count))
    # A sum needs only how often each unit is drawn. A single resample at a time keeps memory proportional to n.
    sums = np.stack([np.bincount(rng.integers(0, count, count), minlength=count) @ parts for _ in range(resamples)])
    low, high = np.nanpercentile(estimate(sums, count), [2.5, 97.5])
    return Interval(float(estimate(parts.sum(axis=0)[None, :], count)[0]), float(low), float(high))
