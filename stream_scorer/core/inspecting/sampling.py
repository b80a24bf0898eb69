"""Draws whole customers at random, so that few rows are judged and each customer's stay together."""

import numpy as np
import numpy.typing as npt


def drawn_customers(
    who: npt.NDArray[np.integer], most: int, rng: np.random.Generator, *, customers: int
) -> npt.NDArray[np.bool_]:
    """Return which customers (C,) are drawn so that at most `most` of the rows (n,) are theirs; one is at least."""
    counts = np.bincount(who, minlength=customers)
    if len(who) <= most:
        return np.ones(len(counts), bool)
    order = rng.permutation(np.flatnonzero(counts))
    chosen = np.zeros(len(counts), bool)
    chosen[order[: max(1, int(np.searchsorted(np.cumsum(counts[order]), most, side="right")))]] = True
    return chosen
