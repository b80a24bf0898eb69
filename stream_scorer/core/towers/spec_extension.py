"""Extends an earlier model's feature specs by new data: known values keep their table rows, numbers their scales."""

from dataclasses import replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from stream_scorer.core.features.spec import Bag, Category, FeatureSpec, Input, Number, Vector
from stream_scorer.core.towers.tower import Tower

Value = TypeVar("Value")


def extended(earlier: FeatureSpec, derived: FeatureSpec) -> FeatureSpec:
    """Return the derived spec with the earlier scales, and with the earlier vocabularies followed by new values."""
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
    return derived  # a new input, or a name whose values are of another type now: nothing carries over


def _joined(earlier: tuple[Value, ...], derived: tuple[Value, ...]) -> tuple[Value, ...]:
    known = set(earlier)
    return earlier + tuple(value for value in derived if value not in known)


def carried_table(earlier: Tower, spec: FeatureSpec, fresh: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return a table for the spec: the earlier tower's rows, and for new values what it gives to unseen values.

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
        # a slot's rows: a missing value, the vocabulary, the buckets
        before, after = len(old.vocabulary), len(slot.vocabulary)
        buckets = rows[1 + before :]
        table[first : first + 1 + before] = rows[: 1 + before]
        # an unseen value is hashed into the buckets, and counts as missing where there are none
        table[first + 1 + before : first + 1 + after] = buckets.mean(axis=0) if len(buckets) else rows[0]
        table[first + 1 + after : first + slot.height] = buckets
    return table


def carried_columns(
    earlier: FeatureSpec, spec: FeatureSpec, width: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return which columns of the first layer carry over: their places in the new layer, and in the earlier layer."""
    old, new = _columns(earlier, width), _columns(spec, width)
    shared = [name for name in new if name in old]
    return np.array([new[name] for name in shared], np.int64), np.array([old[name] for name in shared], np.int64)


def _columns(spec: FeatureSpec, width: int) -> dict[tuple[str, int], int]:
    """Return the place of each column that a first layer reads: slots first, then numbers; -1 is an indicator."""
    names = [(slot.name, column) for slot in spec.slots for column in range(width)]
    for one in spec.inputs:
        if isinstance(one, Number | Vector):
            values = one.width - one.indicator
            names += [(one.name, column) for column in range(values)] + [(one.name, -1)] * one.indicator
    return {name: place for place, name in enumerate(names)}
