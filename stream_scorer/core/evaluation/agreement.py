"""Measures how far a model ranks alike for all customers."""

from typing import Any

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.floating[Any]]


def agreement(customers: Vectors, offers: Vectors) -> float:
    """Return the mean correlation of a customer's scores with the scores of the mean customer; 1: one order for all.

    Of customers' vectors (C, p) and offers' vectors (N, p), any of them zero. Customers alone do not tell: they may
    differ only in what all offers share, which changes nobody's order.
    """
    apart = offers - offers.mean(axis=0)  # what offers share adds the same to each of a customer's scores
    scores, common = customers @ apart.T, customers.mean(axis=0) @ apart.T  # (C, N), (N,)
    lengths = np.linalg.norm(scores, axis=1) * np.linalg.norm(common)
    ranked = lengths > 0  # who scores all offers alike has no order that could agree
    return float(np.mean(scores[ranked] @ common / lengths[ranked])) if ranked.any() else 1.0
