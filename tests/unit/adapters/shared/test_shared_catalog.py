"""A catalog over shared arrays answers as the catalog that it was made from, before and after changes."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stream_scorer.adapters.shared.shared_catalog import catalog_over, columns_of
from stream_scorer.core.messages import Filter, Offer, ReleaseId
from stream_scorer.core.ranking.encoding import ALL_FEATURES, OfferFeatures
from stream_scorer.core.ranking.pipeline import rank_batch
from stream_scorer.core.releases.catalog import Catalog
from tests.ranking_worlds import TIME_MS, TOPICS, catalog_of, record_of, release_of, request, unit_vectors
from tests.release_samples import change, model, offer, withdrawal

MADE = model(1)
OFFERS = [
    offer(number, features={"price": float(number), "tags": [f"t{number % 2}"], "name": f"é{number}"})
    for number in range(9)
]
STATED = st.lists(
    st.builds(
        lambda number, price, start: offer(number, features={"price": price, "colour": "red"}, valid_from_ms=start),
        st.integers(0, 8),
        st.floats(-9, 9),
        st.none() | st.integers(TIME_MS - 1, TIME_MS + 1),
    ),
    max_size=4,
)


def shared(catalog: Catalog) -> Catalog:
    return catalog_over(catalog.release_id, columns_of(catalog), catalog.vectors.copy)


def published() -> Catalog:
    vectors = MADE.item_tower.embed([one.features for one in OFFERS], [one.offer_id for one in OFFERS]).vectors
    return Catalog.of(ReleaseId("r"), OFFERS, vectors.astype(np.float32))


def rankings(catalog: Catalog, offer_features: OfferFeatures = ALL_FEATURES) -> list[bytes]:
    requests = [
        request(0),
        request(1, offers=["offer-3", "offer-1", "unknown"]),
        request(2, exclude=["offer-2"], filters=[Filter("price", ">", 1.0)]),
        request(3, filters=[Filter("tags", "==", "t1")]),
        request(4, filters=[Filter("colour", "==", "red")]),
    ]
    release = release_of(catalog, unit_vectors(len(requests), catalog.dim))
    records = [record_of(one, offset=place) for place, one in enumerate(requests)]
    ranked = rank_batch(records, release, topics=TOPICS, offer_features=offer_features, ranking_bytes_max=10_000)
    assert not ranked.dead_letters
    return [output.value or b"" for output in ranked.outputs]


def test_shared_offers_rank_to_the_same_bytes() -> None:
    own = published()
    assert rankings(shared(own)) == rankings(own)
    assert rankings(shared(own), OfferFeatures(("price",))) == rankings(own, OfferFeatures(("price",)))


@given(first=STATED, second=STATED)
def test_changed_offers_rank_to_the_same_bytes(first: list[Offer], second: list[Offer]) -> None:
    own, other = published(), shared(published())
    for stated in (first, second):
        changes = [change(MADE, one, 1) for one in stated]
        # what is there once a batch was ranked is brought up to date; of `own` it is made anew
        rankings(other)
        own, other = Catalog.with_changes(own, changes), other.with_changes(changes)
        own.derived.clear()
        assert rankings(other) == rankings(own)


def test_a_change_leaves_the_published_vectors() -> None:
    before = shared(published())
    untouched = before.vectors.copy()
    after = before.with_changes([change(MADE, offer(3, features={"price": 99.0}), 1)])
    assert (before.vectors == untouched).all()
    assert (after.vectors != untouched).any(axis=1).nonzero()[0].tolist() == [3]
    assert after.shared is not None
    assert after.shared.changed.tolist() == [3]
    assert after.active is before.active


def test_changes_upon_changes_all_stay() -> None:
    before = after = shared(published())
    for number in (5, 1, 3):
        after = after.with_changes([change(MADE, offer(number, features={"price": 99.0}), 1)])
    assert after.shared is not None
    assert after.shared.changed.tolist() == [1, 3, 5]
    assert (after.vectors != before.vectors).any(axis=1).nonzero()[0].tolist() == [1, 3, 5]


def test_a_withdrawal_ends_the_sharing() -> None:
    after = shared(published()).with_changes([withdrawal(3, 1)])
    assert after.shared is None
    assert list(after.offer_ids) == [one.offer_id for one in OFFERS if one.offer_id != "offer-3"]


def test_an_empty_catalog_can_be_shared() -> None:
    assert len(shared(catalog_of(np.zeros((0, 2))))) == 0
