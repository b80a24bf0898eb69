"""What re-rankers of every kind have in common: they encode both sides, and score the columns made of them."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from stream_scorer.core.features.spec import FeatureSpec, Floats, Inputs
from stream_scorer.core.reranking.pair_inputs import PairInputs
from stream_scorer.core.towers.reranker import OfferSide, Shortlisted


class PairScorer(ABC):
    """Leaves to each kind what it keeps of offers, and how it scores."""

    __slots__ = ()
    inputs: PairInputs

    @property
    def customer_spec(self) -> FeatureSpec:
        """See Reranker."""
        return self.inputs.customers.spec

    @property
    def offer_spec(self) -> FeatureSpec:
        """See Reranker."""
        return self.inputs.offers.spec

    def offer_side(self, features: Sequence[Mapping[str, Any]], ids: Sequence[str]) -> OfferSide:
        """See Reranker."""
        return self.offers_of(self.offer_spec.encode(features, ids))

    @abstractmethod
    def offers_of(self, encoded: Inputs) -> OfferSide:
        """Return the same of encoded offers."""

    def scores(
        self, features: Sequence[Mapping[str, Any]], ids: Sequence[str], shortlisted: Shortlisted, side: OfferSide
    ) -> Floats:
        """See Reranker."""
        return self.scores_of(self.customer_spec.encode(features, ids), shortlisted, side)

    def scores_of(self, encoded: Inputs, shortlisted: Shortlisted, side: OfferSide) -> Floats:
        """Return the scores (M,) for encoded requests."""
        columns = self.inputs.columns(encoded, side, shortlisted)
        return self.scores_of_columns(encoded, columns, shortlisted, side)

    @abstractmethod
    def scores_of_columns(self, encoded: Inputs, columns: Floats, shortlisted: Shortlisted, side: OfferSide) -> Floats:
        """Return the same where the pairs' columns (M, P) are worked out already."""
