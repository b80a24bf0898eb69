"""What rankers keep of offers for a re-ranker is bounded."""

import pytest

from stream_scorer.core.releases import offer_side
from stream_scorer.core.releases.offer_side import OfferSideOf, check_offer_side
from stream_scorer.errors import ReleaseError
from tests.ranking_worlds import catalog_of, unit_vectors
from tests.reranking_samples import network, trees


def test_a_side_beyond_the_bound_is_refused() -> None:
    each = sum(array.nbytes for array in trees().offer_side([{}], ["o"]).arrays.values())
    most = offer_side.SIDE_BYTES_MAX // each
    check_offer_side(trees(), most)
    with pytest.raises(ReleaseError, match=rf"keeps {each} bytes of an offer, of {most + 1:,} offers [\d,]+ bytes"):
        check_offer_side(trees(), most + 1)


def test_rankers_refuse_before_they_make_it(monkeypatch: pytest.MonkeyPatch) -> None:
    catalog = catalog_of(unit_vectors(20, 4))
    monkeypatch.setattr(offer_side, "SIDE_BYTES_MAX", 100)
    with pytest.raises(ReleaseError, match="in every ranker, at most 100"):
        OfferSideOf(network()).make_ready(catalog, None)
