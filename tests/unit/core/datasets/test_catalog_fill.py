"""Labels without features of their offers."""

from stream_scorer.core.datasets.catalog_fill import FilledExamples
from stream_scorer.core.datasets.chunks import Views
from stream_scorer.core.messages import Offer
from tests.example_samples import Chunks, chunk

CATALOG = [Offer(offer_id="a", features={"price": 1.0}), Offer(offer_id="b", features={"price": 2.0})]
BARE = chunk(
    Views(["ann"], [{}]), Views(["a", "b", "c"], [{}, {"price": 9.0}, {}]), [(0, 0, 1), (0, 1, 0), (0, 2, 0), (0, 0, 0)]
)


def test_offers_without_features_have_the_catalogs() -> None:
    (filled,) = FilledExamples(Chunks((BARE,)), CATALOG).chunks()
    assert filled.offers.features == [{"price": 1.0}, {"price": 9.0}, {}]


def test_filled_rows_are_counted_for_each_reading() -> None:
    examples = FilledExamples(Chunks((BARE, BARE)), CATALOG)
    for _ in range(2):
        assert len(list(examples.chunks())) == 2
        assert examples.rows_filled == 4
