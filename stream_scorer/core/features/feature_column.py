"""What is known of a single feature, counted batch by batch: its kinds, its values, and the moments of its numbers."""

from collections import Counter
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np

from stream_scorer.core.features.columns import Floats, logarithm
from stream_scorer.core.features.diagnosis import SENTINELS, ColumnFacts
from stream_scorer.core.features.number_sample import NumberSample
from stream_scorer.core.features.text_numbers import PARSERS, Reading

_KIND = {float: "number", int: "number", str: "string", bool: "bool"}
_DISTINCT_MAX = 4_096  # distinct numbers; a feature with more of them is not made of codes
_PARSED_ROWS_MAX = 100_000  # of texts read as numbers: enough for their moments


class _Moments:
    """Running moments of numbers, shifted by the first value so that far-off means keep their digits."""

    def __init__(self, shift: Floats) -> None:
        self.shift = shift
        self.count = 0
        self.sums = np.zeros((3, *shift.shape))
        self.low = np.full(shift.shape, np.inf)
        self.high = np.full(shift.shape, -np.inf)

    def add(self, values: Floats) -> None:
        off = values - self.shift
        self.count += len(values)
        self.sums += np.stack([off.sum(axis=0), (off**2).sum(axis=0), (off**3).sum(axis=0)])
        self.low = np.minimum(self.low, values.min(axis=0))
        self.high = np.maximum(self.high, values.max(axis=0))

    @property
    def mean(self) -> Floats:
        return np.asarray(self.shift + self.sums[0] / self.count)

    @property
    def deviation(self) -> Floats:
        first, second = self.sums[0] / self.count, self.sums[1] / self.count
        return np.asarray(np.sqrt(np.maximum(second - first**2, 0.0)))

    @property
    def skew(self) -> float:
        first, second, third = self.sums / self.count
        variance = second - first**2
        if variance <= 0:
            return 0.0
        return float((third - 3 * first * second + 2 * first**3) / variance**1.5)

    @property
    def scale(self) -> Floats:
        deviation = self.deviation
        # A deviation that is mere rounding beside the mean counts as none, and the scale is 0.
        return np.where(
            deviation > 1e-12 * np.maximum(np.abs(self.mean), 1e-30), 1.0 / np.maximum(deviation, 1e-300), 0.0
        )


class FeatureColumn:
    """What is known of one feature."""

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()
        self.values: Counter[str | bool] = Counter()
        self.lengths: set[int] = set()
        self.numbers: _Moments | None = None
        self.vectors: _Moments | None = None
        self.logs: _Moments | None = None
        self.sample = NumberSample()
        self.distinct: Counter[float] | None = Counter()
        self.odd: Counter[float] = Counter()  # possible sentinels: `settle` adds those that are none to the moments

    def add(self, values: Sequence[object], weights: Sequence[int]) -> None:
        """Count a batch's values; a text or bool counts `weights` times, every other value a single time."""
        if (one := _kind_of_all(values)) is not None:
            self.kinds[one] += len(values)
            self._add(one, list(values), list(weights))
            return
        kinds = list(map(_kind, values))
        self.kinds.update(kinds)
        by_kind: dict[str, list[int]] = {}
        for index, kind in enumerate(kinds):
            by_kind.setdefault(kind, []).append(index)
        for kind, indices in by_kind.items():
            self._add(kind, [values[index] for index in indices], [weights[index] for index in indices])

    def _add(self, kind: str, values: list[Any], weights: list[int]) -> None:
        if kind == "number":
            self._add_numbers(np.array(values, dtype=np.float64))
        elif kind in ("string", "bool"):
            for value, weight in zip(values, weights, strict=True):
                self.values[value] += weight
        elif kind == "list of strings":
            for bag, weight in zip(values, weights, strict=True):
                for element in bag:
                    self.values[element] += weight
        elif kind == "list of numbers":
            self.lengths.update(map(len, values))
            if len(self.lengths) == 1:
                self.vectors = _added(self.vectors, np.array(values, dtype=np.float64))

    def _add_numbers(self, values: Floats) -> None:
        if self.distinct is not None:
            self.distinct.update(_counted(values))
            self.distinct = self.distinct if len(self.distinct) <= _DISTINCT_MAX else None
        odd = np.isin(values, SENTINELS)
        if odd.any():
            self.odd.update(_counted(values[odd]))
            values = values[~odd]
        if len(values):
            self.add_usual(values)

    def add_usual(self, values: Floats) -> None:
        """Add numbers to the moments and to the sample."""
        self.sample.add(values)
        self.numbers = _added(self.numbers, values)
        self.logs = _added(self.logs, logarithm(values))

    def facts(self, name: str, rows: int) -> ColumnFacts:
        """Return what decides how the feature is read."""
        kinds = set(self.kinds) - {"null", "empty list"}
        stated = sum(self.kinds.values()) - self.kinds["null"] - self.kinds["empty list"]
        low, high = (0.0, 0.0) if self.numbers is None else (float(self.numbers.low), float(self.numbers.high))
        return ColumnFacts(
            name,
            min(kinds, default="null"),  # several kinds are refused elsewhere
            rows,
            rows - stated,
            self.values,  # type: ignore[arg-type]  # bools, where the kind is bool
            self.distinct,
            self.odd,
            low,
            high,
        )

    def parsed(self, reading: Reading) -> "FeatureColumn":
        """Return the column of the numbers that the texts mean, each as often as its text, up to a bound."""
        made, share = FeatureColumn(), min(1.0, _PARSED_ROWS_MAX / max(sum(self.values.values()), 1))
        numbers = np.array([PARSERS[reading](str(text)) for text in self.values], np.float64)
        counts = np.ceil(share * np.array(list(self.values.values()), np.float64)).astype(np.int64)
        known = ~np.isnan(numbers)
        made.kinds = Counter({"number": self.kinds["string"], "null": self.kinds["null"] + int((~known).sum())})
        made._add_numbers(np.repeat(numbers[known], counts[known]))
        return made

    def settle(self, sentinels: Sequence[float]) -> None:
        """Add to the moments what turns out to be no sentinel."""
        for value in sorted(self.odd.keys() - set(sentinels)):
            self.add_usual(np.full(self.odd.pop(value), value))


def _counted(values: Floats) -> dict[float, int]:
    distinct, counts = np.unique(values, return_counts=True)
    return dict(zip(distinct.tolist(), counts.tolist(), strict=True))


def _added(moments: _Moments | None, values: Floats) -> _Moments:
    moments = moments or _Moments(np.array(values[0]))
    moments.add(values)
    return moments


def _kind_of_all(values: Sequence[Any]) -> str | None:
    """Return the kind that all values share, which is the usual case; None where each value must be looked at."""
    types = set(map(type, values))
    if types <= {float, int}:
        return None if np.isnan(np.array(values, dtype=np.float64)).any() else "number"
    if len(types) > 1 or not types:
        return None
    if types <= {str, bool}:
        return _KIND[types.pop()]
    if types != {list} or not all(values):
        return None
    elements = set(map(type, chain.from_iterable(values)))
    return "list of strings" if elements == {str} else "list of numbers" if elements <= {float, int} else None


def _kind(value: object) -> str:
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return "null"
    if isinstance(value, list | tuple):
        if not value:
            return "empty list"
        kinds = {_KIND.get(type(element), "other") for element in value}
        return f"list of {kinds.pop()}s" if len(kinds) == 1 else "list of mixed kinds"
    return _KIND.get(type(value), "other")
