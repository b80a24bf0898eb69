"""Counts labels of offers that the catalog lacks: when these are many, ids are likely written in two ways."""

from collections.abc import Sequence

import numpy as np

from stream_scorer.core.datasets.chunks import Ints
from stream_scorer.core.messages import Offer
from stream_scorer.errors import UsageError

SHARE_MAX = 0.5


class CatalogCheck:
    """Counts labels as they are read."""

    def __init__(self, offers: Sequence[Offer]) -> None:
        """Take the ids of the catalog's offers."""
        self._ids = {offer.offer_id for offer in offers}
        self._example = offers[0].offer_id if offers else None
        self._stranger: str | None = None  # the first offer that the catalog lacks, to show in the message
        self.rows = 0
        self.outside = 0

    def add(self, offer_ids: Sequence[str], offer_of: Ints) -> None:
        """Count labels, given their distinct offers and which of these each label (n,) is of."""
        labels = np.bincount(offer_of, minlength=len(offer_ids))
        unknown = np.array([offer_id not in self._ids for offer_id in offer_ids], bool) & (labels > 0)
        self.rows += len(offer_of)
        self.outside += int(labels[unknown].sum())
        if self._stranger is None and unknown.any():
            self._stranger = offer_ids[int(unknown.argmax())]

    def cautions(self) -> list[str]:
        """Return a sentence with one such offer, where labels are of offers that the catalog lacks."""
        if not self.outside:
            return []
        outside = f"{self.outside:,} of {self.rows:,} labels are of offers that are not in the catalog"
        return [f"{outside}, such as {self._stranger!r}"]

    def check(self) -> None:
        """Raise UsageError when more than half of the labels are of offers that the catalog lacks."""
        if self.outside > SHARE_MAX * self.rows:
            raise UsageError(
                f"{self.outside:,} of {self.rows:,} labels are of offers that are not in the catalog, more than half: "
                f"the labels have {self._stranger!r}, the catalog {self._example!r}; write ids in both files alike"
            )
