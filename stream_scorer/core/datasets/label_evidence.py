"""Measures what labels say of a single feature: whether it separates them, and whether its numbers have an order.

Both are measured on a bounded sample of rows, with features as they were written and not as a spec reads them.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from stream_scorer.core.datasets.chunks import ExampleChunk, Ints, Views
from stream_scorer.core.features.diagnosis import NO_EVIDENCE, Evidence
from stream_scorer.core.features.spec import Side

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int8]

ROWS_MAX = 32_768
CHUNK_ROWS_MAX = 8_192
LABELS_MIN = 50  # with fewer accepted rows, or fewer others, no feature is judged
_BINS = 64
_TEXTS_MAX = 256
_LEVELS_MIN, _LEVELS_MAX = 3, 64
_CURVED_FROM = 6  # so many levels are compared with a parabola, fewer with a line
_GROUPINGS_MAX, _GROUPS_MAX = 4, 12
_STEADY_ROWS = 10.0  # a customer or offer of so many rows has half the weight that it could ever have


class _SideRows(NamedTuple):
    """The sampled rows of a side: its views, and which view each row has."""

    ids: list[str]
    features: list[Mapping[str, Any]]
    view: Ints  # (n,)


class LabelSample:
    """Rows drawn evenly from each chunk, up to a bound."""

    def __init__(self) -> None:
        """Begin with an empty sample."""
        self._sides: dict[Side, list[_SideRows]] = {"customer": [], "offer": []}
        self._accepted: list[Labels] = []
        self._rows = 0

    def add(self, chunk: ExampleChunk) -> None:
        """Take rows of a chunk into the sample, unless it is full."""
        count = min(len(chunk), CHUNK_ROWS_MAX, ROWS_MAX - self._rows)
        if count <= 0:
            return
        taken = np.linspace(0, len(chunk) - 1, count).astype(np.int64)
        self._rows += count
        self._accepted.append(chunk.accepted[taken])
        self._sides["customer"].append(_taken(chunk.customers, chunk.customer[taken]))
        self._sides["offer"].append(_taken(chunk.offers, chunk.offer[taken]))

    def evidence(self, side: Side) -> dict[str, Evidence]:
        """Return what the labels say of each feature of one side."""
        if not self._rows:
            return {}
        accepted = np.concatenate(self._accepted)
        mine, other = _joined(self._sides[side]), _joined(self._sides["offer" if side == "customer" else "customer"])
        names = sorted({name for row in mine.features for name in row})
        if min(int(accepted.sum()), len(accepted) - int(accepted.sum())) < LABELS_MIN:
            return dict.fromkeys(names, NO_EVIDENCE)
        groupings = _groupings(other)
        return {name: _evidence(name, mine, accepted, groupings) for name in names}


def _taken(views: Views, view_of: Ints) -> _SideRows:
    used, place = np.unique(view_of, return_inverse=True)
    chosen = used.tolist()
    return _SideRows([views.ids[one] for one in chosen], [views.features[one] for one in chosen], place.reshape(-1))


def _joined(parts: Sequence[_SideRows]) -> _SideRows:
    firsts = np.cumsum([0, *(len(part.ids) for part in parts)])
    return _SideRows(
        [one for part in parts for one in part.ids],
        [one for part in parts for one in part.features],
        np.concatenate([part.view + first for part, first in zip(parts, firsts, strict=False)]),
    )


def _evidence(name: str, mine: _SideRows, accepted: Labels, groupings: Sequence[Ints]) -> Evidence:
    values = [row.get(name) for row in mine.features]
    auc = separation(_bins(values)[mine.view], accepted)
    numbers = _whole_numbers(values)
    return Evidence(auc, 0.0 if numbers is None else _disorder(numbers, mine, accepted, groupings))


def separation(bins: Ints, accepted: Labels) -> float:
    """Return the AUC of a feature's value alone.

    Each half of the rows is ordered by the rates of acceptance of the other half: if a row's own label counted, any
    feature of many values would seem to separate.
    """
    half = np.arange(len(bins)) % 2 == 0
    return float(np.mean([_auc_by_rates(bins, accepted, learned) for learned in (half, ~half)]))


def _auc_by_rates(bins: Ints, accepted: Labels, learned: npt.NDArray[np.bool_]) -> float:
    size = int(bins.max()) + 1
    rows = np.bincount(bins[learned], minlength=size)
    # One row more, at the mean rate, keeps bins of few rows near the mean.
    rates = (np.bincount(bins[learned], accepted[learned], minlength=size) + accepted.mean()) / (rows + 1)
    _, order = np.unique(rates, return_inverse=True)  # bins of the same rate tie
    judged = order.reshape(-1)[bins[~learned]]
    positives = np.bincount(judged, accepted[~learned])
    negatives = np.bincount(judged) - positives
    # How many negatives each bin's positives are ordered above, a tie counting half.
    below = np.cumsum(negatives) - negatives / 2
    pairs = positives.sum() * negatives.sum()
    return float((positives * below).sum() / pairs) if pairs else 0.5


def _bins(values: Sequence[object]) -> Ints:
    """Return each value's bin: numbers by quantile, lists by length, texts and bools each their own up to a bound."""
    kinds = set(map(type, values)) - {type(None)}
    if kinds and kinds <= {int, float}:
        numbers = np.array(values, np.float64)
        known = numbers[~np.isnan(numbers)]
        edges = np.unique(np.quantile(known, np.linspace(0, 1, _BINS + 1))) if known.size else np.zeros(1)
        return np.where(np.isnan(numbers), len(edges) + 1, np.searchsorted(edges, numbers)).astype(np.int64)
    codes: dict[object, int] = {None: 0}
    for value in values:
        key = len(value) if isinstance(value, list) else value
        codes.setdefault(key, min(len(codes), _TEXTS_MAX))
    return np.array([codes[len(value) if isinstance(value, list) else value] for value in values], np.int64)


def _whole_numbers(values: Sequence[object]) -> Floats | None:
    """Return a column's numbers, NaN for null, where all are whole and few are distinct; else None."""
    if not set(map(type, values)) <= {int, float, type(None)}:
        return None
    numbers = np.array(values, np.float64)
    levels = np.unique(numbers[~np.isnan(numbers)])
    fits = _LEVELS_MIN <= len(levels) <= _LEVELS_MAX and bool((levels == np.floor(levels)).all())
    return numbers if fits else None


def _groupings(other: _SideRows) -> list[Ints]:
    """Return groupings of the rows by features of few values of the other side; the first puts all rows together."""
    ways = [np.zeros(len(other.view), np.int64)]
    for name in sorted({name for row in other.features for name in row}):
        values = [row.get(name) for row in other.features]
        if set(map(type, values)) <= {str, bool, type(None)} and len(set(values)) <= _GROUPS_MAX:
            ways.append(_bins(values)[other.view])
    return ways[: 1 + _GROUPINGS_MAX]


def _disorder(numbers: Floats, mine: _SideRows, accepted: Labels, groupings: Sequence[Ints]) -> float:
    """Return by how many standard errors the rates of acceptance by level depart from a curve over the numbers.

    The largest of the groupings' results counts. Each is an F test over customers or offers, not over rows, since the
    rows of an offer are alike for reasons of its own.
    """
    known = ~np.isnan(numbers)[mine.view]
    levels, level_of = np.unique(numbers, return_inverse=True)
    # An entity is an id at a level, so that an offer whose number changes counts once at each of its levels.
    keys = np.unique(
        np.array([f"{one}\0{level}" for one, level in zip(mine.ids, level_of, strict=True)]), return_inverse=True
    )[1]
    level_of_entity = np.zeros(int(keys.max()) + 1, np.int64)
    level_of_entity[keys] = level_of
    entity = keys.reshape(-1)[mine.view[known]]
    real = levels[~np.isnan(levels)]
    return max(_f_test(entity, group[known], accepted[known], level_of_entity, real) for group in groupings)


def _f_test(entity: Ints, group: Ints, accepted: Labels, level_of: Ints, levels: Floats) -> float:
    between, within, between_df, within_df = 0.0, 0.0, 0, 0
    entities = len(np.unique(entity))
    fitted = 3 if len(levels) >= _CURVED_FROM else 2
    # Standardised levels keep the least squares well conditioned.
    powers = np.vander((levels - levels.mean()) / levels.std(), fitted)
    for one in np.unique(group).tolist():
        rows = group == one
        met, place = np.unique(entity[rows], return_inverse=True)
        counts = np.bincount(place.reshape(-1)).astype(np.float64)
        rates = np.bincount(place.reshape(-1), accepted[rows]) / counts
        weights, level = counts / (counts + _STEADY_ROWS), level_of[met]
        heavy = np.bincount(level, weights, minlength=len(levels))
        means = np.bincount(level, weights * rates, minlength=len(levels)) / np.maximum(heavy, 1e-12)
        # lstsq has no weights of its own, so that each level's equation is scaled by the root of its weight.
        root = np.sqrt(heavy)
        curve = powers @ np.linalg.lstsq(powers * root[:, None], means * root, rcond=None)[0]
        between += float((heavy * (means - curve) ** 2).sum())
        within += float((weights * (rates - means[level]) ** 2).sum())
        met_levels = int(np.count_nonzero(heavy))
        between_df += max(met_levels - fitted, 0)
        within_df += max(len(met) - met_levels, 0)
    if not between_df or not within_df or not within:
        return 0.0
    ratio = (between / between_df) / (within / within_df)
    return _normal_score(ratio, len(levels) - fitted, max(entities - len(levels), 1))


def _normal_score(ratio: float, above: int, below: int) -> float:
    """Turn an F ratio of `above` and `below` degrees of freedom into a standard normal score (Paulson, 1942)."""
    cube, first, second = ratio ** (1 / 3), 2 / (9 * above), 2 / (9 * below)
    return float(((1 - second) * cube - (1 - first)) / np.sqrt(second * cube**2 + first))
