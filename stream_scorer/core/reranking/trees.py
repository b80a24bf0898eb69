"""A re-ranker of boosted trees, which were trained elsewhere and are arrays here: nothing foreign parses them.

Instead of walking down each tree, every condition that a pair does not meet strikes out leaves, as bits of a mask, and
the first leaf that is left is the tree's (QuickScorer, Lucchese et al. 2015, doi:10.1145/2766462.2767733). Masks can be
put together in any order, so those of an offer's conditions are made with the release, a customer's once a request.
"""

from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from stream_scorer.core.features.spec import Floats, Inputs
from stream_scorer.core.reranking.pair_inputs import PairInputs
from stream_scorer.core.reranking.pair_scorer import PairScorer
from stream_scorer.core.towers.reranker import OfferSide, Shortlisted
from stream_scorer.errors import BadModel

Masks = npt.NDArray[np.uint16]

LEAVES_MAX = 16
TREES_MAX = 1_024
LEAF_MAX = 1e6
# Leaves are added as whole multiples of this: sums of whole numbers do not depend on the order of adding.
_UNIT = 2.0**-32
_BLOCK_PAIRS = 2_048


@dataclass(frozen=True, slots=True)
class Conditions:
    """The inner nodes of all trees, as columns (n,); a node asks whether a feature is at most a threshold.

    Features are the customers' numbers, then the offers' numbers, then the pair's columns. `mask` has the bits of the
    leaves that are left where it is not: all of the tree's but those under the node's left side.
    """

    tree: npt.NDArray[np.int64]
    feature: npt.NDArray[np.int64]
    threshold: Floats
    mask: Masks

    def check(self, trees: int, features: int) -> None:
        """Raise BadModel for columns of different lengths, and for trees or features that are not there."""
        lengths = {len(column) for column in (self.tree, self.feature, self.threshold, self.mask)}
        if len(lengths) != 1 or lengths.pop() >= TREES_MAX * LEAVES_MAX:
            raise BadModel("the columns of the trees' conditions must be equally long, with 15 a tree at most")
        for name, column, end in (("tree", self.tree, trees), ("feature", self.feature, features)):
            if len(column) and not 0 <= column.min() <= column.max() < end:
                raise BadModel(f"a condition names a {name} that is not there, of {end}")


@dataclass(frozen=True, slots=True)
class _Bins:
    """The thresholds of one feature (K,), rising, and what each bin between them leaves of all trees (K + 1, T)."""

    feature: int
    thresholds: Floats
    masks: Masks

    def of(self, values: Floats) -> Masks:
        return self.masks.take(np.searchsorted(self.thresholds, values), axis=0)


@dataclass(frozen=True, slots=True)
class TreesReranker(PairScorer):
    """Adds up one leaf of each tree; `leaves` (T, 16) are numbered from the left."""

    inputs: PairInputs
    conditions: Conditions
    leaves: Floats
    _bins: tuple[tuple[_Bins, ...], tuple[_Bins, ...], tuple[_Bins, ...]] = field(init=False, repr=False, compare=False)
    _whole: npt.NDArray[np.int64] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Raise BadModel for parts that do not fit together."""
        if self.leaves.ndim != 2 or self.leaves.shape[1] != LEAVES_MAX or not 1 <= len(self.leaves) <= TREES_MAX:
            raise BadModel(f"leaves must be (1 to {TREES_MAX} trees, {LEAVES_MAX}), got {self.leaves.shape}")
        if not np.abs(self.leaves).max() <= LEAF_MAX:
            raise BadModel(f"a leaf must be between -{LEAF_MAX:g} and {LEAF_MAX:g}")
        mine, theirs = self.customer_spec.numbers, self.offer_spec.numbers
        self.conditions.check(len(self.leaves), mine + theirs + self.inputs.width)
        ends = (0, mine, mine + theirs, mine + theirs + self.inputs.width)
        bins = tuple(self._binned(start, end) for start, end in pairwise(ends))
        # A frozen dataclass can set what it derives only in this way.
        object.__setattr__(self, "_bins", bins)
        object.__setattr__(self, "_whole", np.rint(self.leaves / _UNIT).astype(np.int64))

    def _binned(self, start: int, end: int) -> tuple[_Bins, ...]:
        asked = self.conditions
        used = np.unique(asked.feature[(asked.feature >= start) & (asked.feature < end)])
        return tuple(self._bins_of(int(feature), start) for feature in used)

    def _bins_of(self, feature: int, start: int) -> _Bins:
        asked = self.conditions
        nodes = np.flatnonzero(asked.feature == feature)
        thresholds, place = np.unique(asked.threshold[nodes], return_inverse=True)
        masks = np.full((len(thresholds) + 1, len(self.leaves)), 0xFFFF, np.uint16)
        np.bitwise_and.at(masks, (place.reshape(-1) + 1, asked.tree[nodes]), asked.mask[nodes])
        # a value beyond a threshold is beyond all lower ones, too
        return _Bins(feature - start, thresholds, np.bitwise_and.accumulate(masks, axis=0))

    @property
    def kind(self) -> str:
        """See Reranker."""
        return "trees"

    def offers_of(self, encoded: Inputs) -> OfferSide:
        """See Reranker."""
        return OfferSide({**self.inputs.offer_arrays(encoded), "masks": self._left(self._bins[1], encoded.numbers)})

    def scores_of_columns(self, encoded: Inputs, columns: Floats, shortlisted: Shortlisted, side: OfferSide) -> Floats:
        """See PairScorer."""
        mine, theirs = self._left(self._bins[0], encoded.numbers), side.arrays["masks"]
        sums = np.empty(len(shortlisted), np.int64)
        for start in range(0, len(sums), _BLOCK_PAIRS):
            part = shortlisted.part(start, start + _BLOCK_PAIRS)
            left = self._left(self._bins[2], columns[start : start + _BLOCK_PAIRS])
            left &= mine.take(part.request, axis=0)
            left &= theirs.take(part.offer, axis=0)
            sums[start : start + _BLOCK_PAIRS] = self._sums(left)
        return np.asarray(sums * _UNIT, np.float64)

    def _left(self, bins: tuple[_Bins, ...], values: Floats) -> Masks:
        """Return the leaves that are left (rows, T) after the conditions on some columns of values."""
        left = np.full((len(values), len(self.leaves)), 0xFFFF, np.uint16)
        for each in bins:
            left &= each.of(values[:, each.feature])
        return left

    def _sums(self, left: Masks) -> npt.NDArray[np.int64]:
        places = _lowest_bits().take(left) + np.arange(len(self.leaves)) * LEAVES_MAX
        return np.asarray(self._whole.reshape(-1).take(places).sum(axis=1))

    def structure(self) -> dict[str, Any]:
        """See Reranker."""
        return {"kind": self.kind, "inputs": self.inputs.structure()}

    def tensors(self) -> dict[str, Any]:
        """See Reranker."""
        asked = self.conditions
        conditions = {"tree": asked.tree, "feature": asked.feature, "threshold": asked.threshold, "mask": asked.mask}
        return conditions | {"leaves": self.leaves} | self.inputs.tensors()


@cache
def _lowest_bits() -> npt.NDArray[np.int64]:
    """Return, for each mask of 16 leaves, the number of the first that is left; 0 for none."""
    table = np.zeros(2**LEAVES_MAX, np.int64)
    # from the last leaf to the first, so that the first overwrites
    for leaf in reversed(range(LEAVES_MAX)):
        table[np.flatnonzero(np.arange(2**LEAVES_MAX) >> leaf & 1)] = leaf
    return table
