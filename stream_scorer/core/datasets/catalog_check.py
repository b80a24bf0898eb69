"""How many labels are of offers that the catalog lacks: ids written in two ways match nowhere, and look like this."""

from collections.abc import Sequence

import numpy as np

from stream_scorer.core.datasets.chunks import Ints
from stream_scorer.core.messages import Offer
from stream_scorer.errors import UsageError

SHARE_MAX = 0.5


class CatalogCheck:
    """Counts labels as they are read."""

    def __init__(self, offers: Sequence[Offer]) -> None:
        """Know the catalog."""
        self._ids = {offer.offer_id for offer in offers}
        self._example = offers[0].offer_id if offers else None
        self._stranger: str | None = None
        self.rows = 0
        self.outside = 0

    def add(self, offer_ids: Sequence[str], offer_of: Ints) -> None:
        """Take labels into account: their offers, and which of them each label (n,) is of."""
        labels = np.bincount(offer_of, minlength=len(offer_ids))
        unknown = np.array([offer_id not in self._ids for offer_id in offer_ids], bool) & (labels > 0)
        self.rows += len(offer_of)
        self.outside += int(labels[unknown].sum())
        if self._stranger is None and unknown.any():
            self._stranger = offer_ids[int(unknown.argmax())]

    def check(self) -> None:
        """Raise UsageError when more than half of the labels are of other offers."""
        if self.outside > SHARE_MAX * self.rows:
            raise UsageError(
                f"{self.outside:,} of {self.rows:,} labels are of offers that are not in the catalog, more than half: "
                f"the labels have {self._stranger!r}, the catalog {self._example!r}; write ids in both files alike"
            )
