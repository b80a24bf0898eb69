"""The order of the rows in each epoch: groups of rows are shuffled, and stay together."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from stream_scorer.core.datasets.training_set import Ints32, Places
from stream_scorer.core.held_out.ranking_quality import runs


class Shuffling:
    """Rows by their groups, such as requests; a minibatch then embeds each customer once for all rows of a group."""

    def __init__(self, rows: Places, group: Ints32) -> None:
        """Take rows (n,) and the number of each one's group (n,); the rows of a group keep their order."""
        self._by_group = rows[np.argsort(group, kind="stable")].astype(np.int32)  # half the memory of places
        self._counts = np.bincount(group)

    def parts(self, rng: np.random.Generator, count: int) -> Iterator[Ints32]:
        """Draw an order of the groups, and yield all rows in that order, in `count` parts.

        Parts have one size, give or take a row: a small last minibatch would move the weights as far as a full one.
        Only the order of the groups is kept, not that of the rows.
        """
        groups = np.argsort(rng.permutation(len(self._counts)))
        counts = self._counts[groups]
        first = (np.cumsum(self._counts) - self._counts)[groups]
        ends = np.cumsum(counts)
        for start, end in pairwise(_bounds(len(self._by_group), count)):
            # The groups that the part begins and ends in may belong to its neighbours, too.
            here = slice(np.searchsorted(ends, start, side="right"), np.searchsorted(ends, end) + 1)
            before = start - (ends[here.start] - counts[here.start]) if end > start else 0
            yield self._by_group[runs(first[here], counts[here])[before : before + end - start]]


def _bounds(rows: int, parts: int) -> list[int]:
    """Return where even parts begin, and where the last one ends; the first parts have the rows that are left over."""
    sizes = np.full(parts, rows // parts)
    sizes[: rows % parts] += 1
    return [0, *np.cumsum(sizes).tolist()]
