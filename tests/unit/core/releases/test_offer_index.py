from typing import Any

import numpy as np
import pytest

from stream_scorer.core.releases.offer_index import LISTS_MAX, InvertedFile
from stream_scorer.errors import BadModel

GOOD: dict[str, Any] = {
    "centroids": np.ones((2, 3), np.float32),
    "list_of": np.array([0, 1, 1], np.int32),
    "probes": 1,
    "recall": 0.99,
}


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("centroids", np.ones(3, np.float32), "finite centroids"),
        ("centroids", np.full((2, 3), np.nan, np.float32), "finite centroids"),
        ("centroids", np.ones((0, 3), np.float32), "finite centroids"),
        ("centroids", np.ones((LISTS_MAX + 1, 1), np.float32), "finite centroids"),
        ("list_of", np.array([0, 2, 1], np.int32), "does not have"),
        ("list_of", np.array([0, -1, 1], np.int32), "does not have"),
        ("list_of", np.array([[0, 1]], np.int32), "does not have"),
        ("list_of", np.array([0], np.int32), "cannot have 2 lists"),
        ("probes", 0, "looked into 0 times"),
        ("probes", 3, "looked into 3 times"),
    ],
)
def test_parts_that_do_not_fit_are_refused(field: str, value: object, reason: str) -> None:
    InvertedFile(**GOOD)
    with pytest.raises(BadModel, match=reason):
        InvertedFile(**{**GOOD, field: value})
