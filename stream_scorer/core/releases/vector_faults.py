"""What is wrong with offers' vectors that the item tower made while the ring runs: nobody looks at these by hand."""

from collections.abc import Sequence

import numpy as np

from stream_scorer.core.features.spec import RowError
from stream_scorer.core.releases.catalog import Vectors


def vector_faults(vectors: Vectors, errors: Sequence[RowError]) -> dict[int, tuple[str, str]]:
    """Return by row the code and the message of its first fault; `errors` are the features that do not fit."""
    faults = {error.index: (error.code, error.message) for error in errors}
    for row in np.flatnonzero(~np.isfinite(vectors).all(axis=1)).tolist():
        faults.setdefault(row, ("vector_not_finite", "the item tower gives no finite vector for these features"))
    for row in np.flatnonzero(~vectors.any(axis=1)).tolist():
        faults.setdefault(
            row,
            ("vector_zero", "the item tower gives a zero vector for this offer, which every customer would score 0"),
        )
    return faults
