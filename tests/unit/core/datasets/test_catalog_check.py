"""Labels of offers that the catalog lacks are counted, and refused when they are the most."""

import numpy as np
import pytest

from stream_scorer.core.datasets.catalog_check import CatalogCheck
from stream_scorer.core.messages import Offer
from stream_scorer.errors import UsageError

CATALOG = [Offer(offer_id=name, features={}) for name in ("1", "2")]


def checked(*labels: int) -> CatalogCheck:
    check = CatalogCheck(CATALOG)
    check.add(["1", "2", "1.0", "unused"], np.array(labels))
    check.check()
    return check


def test_half_of_the_labels_may_be_foreign() -> None:
    assert (checked(0, 1, 2, 2).outside, checked(0, 1).outside) == (2, 0)


def test_over_half_foreign_labels_are_refused() -> None:
    with pytest.raises(UsageError, match=r"3 of 5 labels are of offers that are not in the catalog.*'1\.0'.*'1'"):
        checked(0, 1, 2, 2, 2)
