"""Keeps a bounded sample of a numeric feature for its quantiles, which its outliers hardly move, unlike its moments."""

from typing import NamedTuple

import numpy as np

from stream_scorer.core.features.columns import Floats, logarithm

_SAMPLE_MAX = 65_536
_NORMAL_QUARTILES = 1.349  # the distance of a normal distribution's quartiles, in deviations
_SKEW_MIN = 0.3  # of the octiles; an exponential distribution has 0.42, a lognormal of deviation 0.6 has 0.33


class Scaling(NamedTuple):
    """Where a number's middle is, how it is scaled, and whether its logarithm is taken first."""

    middle: float
    scale: float
    log: bool


class NumberSample:
    """Every n-th number, where n doubles whenever the sample is full; how the data is batched does not change it."""

    def __init__(self) -> None:
        self.values: Floats = np.zeros(0)
        self._every, self._skipped = 1, 0  # how many numbers to pass before the next one is kept

    def add(self, values: Floats) -> None:
        """Keep every n-th of these numbers, counted on from those before."""
        for start in range(0, len(values), _SAMPLE_MAX):
            part = values[start : start + _SAMPLE_MAX]
            kept = part[self._skipped :: self._every]
            self._skipped = (self._skipped - len(part)) % self._every
            self.values = np.concatenate([self.values, kept])
            if len(self.values) > _SAMPLE_MAX:
                # Halving an odd number of values keeps the last, so the next to keep lies a whole new step behind it.
                self._skipped += self._every * (len(self.values) % 2)
                self.values, self._every = self.values[::2], 2 * self._every

    def scaling(self) -> Scaling | None:
        """Scale by quartiles, so that neither a sentinel such as -999 nor an outlier squeezes the others together.

        None where the quartiles coincide, as when most numbers are equal: they give no scale.
        """
        log = self._is_skewed()
        values = logarithm(self.values) if log else self.values
        low, middle, high = np.quantile(values, (0.25, 0.5, 0.75)).tolist()
        if high - low <= 1e-12 * max(abs(middle), 1e-30):
            return None
        return Scaling(middle, _NORMAL_QUARTILES / (high - low), log)

    def _is_skewed(self) -> bool:
        """Compare the octiles' distances from the median, which a few sentinels or outliers do not move."""
        low, middle, high = np.quantile(self.values, (0.125, 0.5, 0.875)).tolist()
        return bool(low >= 0 and high + low - 2 * middle > _SKEW_MIN * (high - low))

    def knots(self, pieces: int) -> tuple[float, ...]:
        """Return rising quantiles with about as many numbers between each two, or all distinct numbers if they are few.

        Empty where there are fewer than three of them: a straight line says all about two.
        """
        distinct = np.unique(self.values)
        if len(distinct) > pieces + 1:
            shares = np.linspace(0, 1, pieces + 1)
            distinct = np.unique(np.quantile(self.values, shares, method="nearest"))
        return tuple(distinct.tolist()) if len(distinct) > 2 else ()
