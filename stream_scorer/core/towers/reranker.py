"""What a re-ranker is: a second stage that scores the towers' shortlist of each request, a pair at a time.

A dot product can only sum over what each side says by itself; a re-ranker also reads what both sides are together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from stream_scorer.core.features.spec import FeatureSpec, Floats, Inputs

Places = npt.NDArray[np.int64]
Arrays = Mapping[str, npt.NDArray[Any]]

SHORTLIST_DEFAULT, SHORTLIST_MAX = 100, 1_000


@dataclass(frozen=True, slots=True)
class Shortlisted:
    """The towers' first offers of all requests of a batch, as columns (M,)."""

    request: Places  # which request of the batch
    offer: Places  # which row of the OfferSide
    score: Floats  # the towers' cosine
    rank: Places  # 1-based place in the towers' order

    def __len__(self) -> int:
        """How many pairs there are."""
        return len(self.request)

    def part(self, start: int, stop: int) -> "Shortlisted":
        """Return some pairs that stand side by side."""
        block = slice(start, stop)
        return Shortlisted(self.request[block], self.offer[block], self.score[block], self.rank[block])


@dataclass(frozen=True, slots=True)
class OfferSide:
    """What a re-ranker knows of N offers before any request comes; each row depends on its own offer alone."""

    arrays: Arrays  # each (N, …)

    def take(self, rows: Places) -> "OfferSide":
        """Return a copy of the rows of some offers."""
        return OfferSide({name: array[rows] for name, array in self.arrays.items()})


class Reranker(Protocol):
    """Scores pairs of a request and an offer; a pair's score does not depend on the other pairs of the batch."""

    @property
    def kind(self) -> str:
        """`network` or `trees`."""

    @property
    def customer_spec(self) -> FeatureSpec:
        """What is read of a customer; the context of a request is among its features."""

    @property
    def offer_spec(self) -> FeatureSpec:
        """What is read of an offer."""

    def offer_side(self, features: Sequence[Mapping[str, Any]], ids: Sequence[str]) -> OfferSide:
        """Work out what follows from the offers alone; wrong values count as missing."""

    def offers_of(self, encoded: Inputs) -> OfferSide:
        """Return the same of encoded offers."""

    def scores(
        self, features: Sequence[Mapping[str, Any]], ids: Sequence[str], shortlisted: Shortlisted, side: OfferSide
    ) -> Floats:
        """Return a finite score (M,) for each pair, the higher the better; `features` and `ids` are the requests'."""

    def scores_of(self, encoded: Inputs, shortlisted: Shortlisted, side: OfferSide) -> Floats:
        """Return the same for encoded requests."""

    def structure(self) -> dict[str, Any]:
        """Return what is not an array, as JSON values."""

    def tensors(self) -> Arrays:
        """Return the arrays by name."""
