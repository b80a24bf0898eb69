"""What a re-ranker knows of a catalog's offers before any request comes, kept with the catalog and in step with it."""

from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from stream_scorer.core.releases.catalog import Catalog, OfOneModel
from stream_scorer.core.towers.reranker import OfferSide, Places, Reranker
from stream_scorer.errors import ReleaseError

BATCH_OFFERS = 4_096  # whose features are parsed at a time
SIDE_BYTES_MAX = 4 * 2**30  # of a ranker's memory

_features_of = msgspec.json.Decoder(dict[str, Any]).decode


def check_offer_side(reranker: Reranker, offers: int) -> None:
    """Raise ReleaseError where what a re-ranker keeps of so many offers would take more than `SIDE_BYTES_MAX`.

    Publishing asks first: else every ranker would be ended for its memory by a release that nobody can see is large.
    """
    row = reranker.offer_side([{}], ["offer"])  # rows are of one size, whatever is known of an offer
    each = sum(array.nbytes for array in row.arrays.values())
    if each * offers > SIDE_BYTES_MAX:
        raise ReleaseError(
            f"the re-ranker keeps {each:,} bytes of an offer, of {offers:,} offers {each * offers:,} bytes in every "
            f"ranker, at most {SIDE_BYTES_MAX:,}: train another kind or a smaller one (train --ranker), or publish "
            "fewer offers"
        )


@dataclass(frozen=True, slots=True, eq=False)
class OfferSideOf(OfOneModel):
    """Makes a catalog's offer side by one re-ranker; use with `Catalog.once`."""

    reranker: Reranker

    def __eq__(self, other: object) -> bool:
        """Whether both are of the same re-ranker: of the same object, since comparing its arrays would take long."""
        return isinstance(other, OfferSideOf) and other.reranker is self.reranker

    def __hash__(self) -> int:
        """Hash the re-ranker by identity."""
        return hash((OfferSideOf, id(self.reranker)))

    def __call__(self, catalog: Catalog) -> OfferSide:
        """Return the side of all offers."""
        return self._side(catalog, np.arange(len(catalog)))

    def make_ready(self, catalog: Catalog, before: Catalog | None) -> None:
        """Make the side of a catalog now, by that of the same release's catalog before where there is one.

        Raises ReleaseError for too many offers, see `check_offer_side`.
        """
        check_offer_side(self.reranker, len(catalog))
        known = None if before is None else before.derived.get(self)
        if before is not None and isinstance(known, OfferSide):
            catalog.derived[self] = self.following(catalog, before, known)
        catalog.once(self)

    def following(self, catalog: Catalog, before: Catalog, side: OfferSide) -> OfferSide:
        """Return the side of a changed catalog, of which only the offers that differ are worked out.

        A row of the side depends on its own offer alone, so the result equals that of all offers anew.
        """
        if not len(before):
            return self(catalog)
        rows = np.array([before.index.get(offer_id, -1) for offer_id in catalog.offer_ids], np.int64)
        fresh = [
            row
            for row, earlier in enumerate(rows.tolist())
            if earlier < 0 or before.fragments[earlier] != catalog.fragments[row]
        ]
        followed = side.take(np.maximum(rows, 0))  # a copy, in which the rows of changed offers are filled
        if fresh:
            changed = np.array(fresh, np.int64)
            for name, array in self._side(catalog, changed).arrays.items():
                followed.arrays[name][changed] = array
        return followed

    def _side(self, catalog: Catalog, rows: Places) -> OfferSide:
        parts = [
            self.reranker.offer_side(
                [_features_of(catalog.fragments[row]) for row in some], [catalog.offer_ids[row] for row in some]
            )
            for start in range(0, max(1, len(rows)), BATCH_OFFERS)
            for some in (rows[start : start + BATCH_OFFERS].tolist(),)
        ]
        if len(parts) == 1:
            return parts[0]
        return OfferSide({name: np.concatenate([part.arrays[name] for part in parts]) for name in parts[0].arrays})
