"""Changes to offers that are there already: the usual case, for which a catalog shares what stays."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stream_scorer.core.messages import Offer, ReleaseId
from stream_scorer.core.releases.catalog import Catalog
from tests.release_samples import change, model, offer

MADE = model(1)
STATED = st.builds(
    lambda number, price, active, start, end: offer(
        number, features={"price": price}, active=active, valid_from_ms=start, valid_until_ms=end
    ),
    st.integers(0, 4),
    st.floats(-9, 9),
    st.booleans(),
    st.none() | st.integers(0, 9),
    st.none() | st.integers(0, 9),
)


def catalog_of(offers: list[Offer]) -> Catalog:
    vectors = MADE.item_tower.embed([one.features for one in offers], [one.offer_id for one in offers]).vectors
    return Catalog.of(ReleaseId("r"), offers, vectors.astype(np.float32))


def contents(catalog: Catalog) -> list[tuple[object, ...]]:
    columns = (catalog.active, catalog.valid_from_ms, catalog.valid_until_ms)
    return list(
        zip(
            catalog.offer_ids,
            catalog.fragments,
            catalog.vectors.tolist(),
            *(column.tolist() for column in columns),
            strict=True,
        )
    )


@given(stated=st.lists(STATED))
def test_restated_offers_give_their_catalog(stated: list[Offer]) -> None:
    published = [offer(number) for number in range(5)]
    before = catalog_of(published)
    untouched = contents(before)
    after = before.with_changes([change(MADE, one, 1) for one in stated])
    now = {one.offer_id: one for one in [*published, *stated]}
    assert contents(after) == contents(catalog_of(list(now.values())))
    assert after.index == before.index
    assert contents(before) == untouched


def test_a_new_catalog_derives_anew() -> None:
    before = catalog_of([offer(1), offer(2)])
    before.once(contents)
    after = before.with_changes([change(MADE, offer(2, active=False), 1)])
    after.make_ready_like(before)
    assert after.derived == {contents: contents(after)}
