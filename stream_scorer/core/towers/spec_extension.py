"""Extends the specs of an earlier model by new data: known values keep their rows and scales."""

from dataclasses import replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from stream_scorer.core.features.spec import Bag, Category, FeatureSpec, Input, Number, Vector
from stream_scorer.core.towers.tower import Tower

Value = TypeVar("Value")


def extended(earlier: FeatureSpec, derived: FeatureSpec) -> FeatureSpec:
    """Return the derived spec with the earlier one's scales, and its vocabularies with new values behind them."""
    known = {(type(one), one.name): one for one in earlier.inputs}
    return FeatureSpec(derived.side, tuple(_extended(known.get((type(one), one.name)), one) for one in derived.inputs))


def _extended(earlier: Input | None, derived: Input) -> Input:
    match earlier, derived:
        case Number(), Number():
            sentinels = _joined(earlier.sentinels, derived.sentinels)
            indicator = earlier.indicator or derived.indicator
            return replace(earlier, indicator=indicator, reading=derived.reading, sentinels=sentinels)
        case Vector(), Vector() if len(earlier.means) == len(derived.means):
            return replace(earlier, indicator=earlier.indicator or derived.indicator)
        case Category(), Category():
            return replace(earlier, vocabulary=_joined(earlier.vocabulary, derived.vocabulary), whole=derived.whole)
        case Bag(), Bag():
            return replace(earlier, vocabulary=_joined(earlier.vocabulary, derived.vocabulary))
    return derived


def _joined(earlier: tuple[Value, ...], derived: tuple[Value, ...]) -> tuple[Value, ...]:
    known = set(earlier)
    return earlier + tuple(value for value in derived if value not in known)


def carried_table(earlier: Tower, spec: FeatureSpec, fresh: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return a table for the spec: the earlier tower's rows, and for new values what it gives unseen ones.

    `fresh` (rows, width) fills the inputs that the earlier tower lacks.
    """
    table = fresh.copy()
    places = {(type(slot), slot.name): number for number, slot in enumerate(earlier.spec.slots)}
    for slot, first in zip(spec.slots, spec.first_rows, strict=False):
        number = places.get((type(slot), slot.name))
        if number is None:
            continue
        old, start = earlier.spec.slots[number], earlier.spec.first_rows[number]
        rows = earlier.table[start : start + old.height]
        before, after = len(old.vocabulary), len(slot.vocabulary)
        buckets = rows[1 + before :]
        table[first : first + 1 + before] = rows[: 1 + before]
        table[first + 1 + before : first + 1 + after] = buckets.mean(axis=0) if len(buckets) else rows[0]
        table[first + 1 + after : first + slot.height] = buckets
    return table


def carried_columns(
    earlier: FeatureSpec, spec: FeatureSpec, width: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return which columns of a first layer carry over: their places in the new one, and in the earlier one."""
    old, new = _columns(earlier, width), _columns(spec, width)
    shared = [name for name in new if name in old]
    return np.array([new[name] for name in shared], np.int64), np.array([old[name] for name in shared], np.int64)


def _columns(spec: FeatureSpec, width: int) -> dict[tuple[str, int], int]:
    """Name the columns that a first layer reads: slots first, then numbers."""
    names = [(slot.name, column) for slot in spec.slots for column in range(width)]
    for one in spec.inputs:
        if isinstance(one, Number | Vector):
            values = one.width - one.indicator
            names += [(one.name, column) for column in range(values)] + [(one.name, -1)] * one.indicator
    return {name: place for place, name in enumerate(names)}
