"""Confidence intervals by the percentile bootstrap, which resamples customers or requests, never rows."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_RESAMPLES = 1_000
_DRAWS_MAX = 50_000_000


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and its 95 % interval; None where there is nothing to estimate from."""

    value: float
    low: float
    high: float


def mean_interval(values: Floats, rng: np.random.Generator) -> Interval | None:
    """Return the mean of independent values (n,)."""
    return bootstrap(values[:, None], lambda sums, count: sums[:, 0] / count, rng)


def bootstrap(parts: Floats, estimate: Callable[[Floats, int], Floats], rng: np.random.Generator) -> Interval | None:
    """Return an estimate that is a function of the sums (r, m) of `parts` (n, m) over units, and of n."""
    count = len(parts)
    if not count:
        return None
    resamples = max(100, min(_RESAMPLES, _DRAWS_MAX // count))
    # how often each unit is drawn is a multinomial; one resample at a time keeps memory at n
    sums = np.stack([np.bincount(rng.integers(0, count, count), minlength=count) @ parts for _ in range(resamples)])
    low, high = np.nanpercentile(estimate(sums, count), [2.5, 97.5])
    return Interval(float(estimate(parts.sum(axis=0)[None, :], count)[0]), float(low), float(high))
