"""An index built anew over the offers of the release that serves."""

from dataclasses import replace

import numpy as np
import pytest

from stream_scorer.adapters.memory.releases import MemoryReleases
from stream_scorer.core.messages import ReleaseId
from stream_scorer.core.releases.catalog import Catalog
from stream_scorer.core.releases.offer_index import OfferIndex
from stream_scorer.errors import GateRefusal, ReleaseError
from stream_scorer.services.learning.publisher import reindex
from tests.release_samples import change, indexed_release, model, offer

MADE = model(1)


def index_of(catalog: Catalog) -> tuple[OfferIndex | None, list[str]]:
    named = replace(catalog, release_id=ReleaseId(""))
    return indexed_release(MADE, [offer(row) for row in range(len(named))]).catalog.nearest, []


@pytest.fixture
def store() -> MemoryReleases:
    store = MemoryReleases()
    served = replace(indexed_release(MADE, [offer(number) for number in range(5)]), forced=("a fault",))
    store.write(served, MADE)
    store.activate(served.release_id, keep=3)
    return store


def test_changed_offers_get_an_index(store: MemoryReleases) -> None:
    before = store.current()
    assert before is not None
    store.change(before, [change(MADE, offer(2, features={"price": 99.0}), 0)], progress={0: (0, 1)})
    made = reindex(store, index_of, created_ms=2_000, keep=3)
    assert (store.load(before).mark, made.mark) == ("0:1", "0")
    serving = store.load(made.release_id)
    assert store.current() == made.release_id != before
    assert serving.catalog.vectors.tobytes() == store.load(before).catalog.vectors.tobytes()
    assert (serving.catalog.release_id, serving.forced, serving.created_ms) == (made.release_id, ("a fault",), 2_000)
    assert store.progress(made.release_id) == {}


def test_a_poor_index_serves_nobody(store: MemoryReleases) -> None:
    before = store.current()
    with pytest.raises(GateRefusal, match="finds too little"):
        reindex(store, lambda catalog: (None, ["it finds too little"]), created_ms=2_000, keep=3)
    with pytest.raises(ReleaseError, match="5 offers, which are ranked exactly as fast"):
        reindex(store, lambda catalog: (None, []), created_ms=2_000, keep=3)
    assert store.current() == before


def test_a_newer_release_is_not_replaced(store: MemoryReleases) -> None:
    newer = indexed_release(MADE, [offer(number) for number in range(7)])

    def slow(catalog: Catalog) -> tuple[OfferIndex | None, list[str]]:
        store.write(newer, MADE)
        store.activate(newer.release_id, keep=3)
        return index_of(replace(catalog, vectors=np.array(catalog.vectors)))

    with pytest.raises(ReleaseError, match="became current while the index"):
        reindex(store, slow, created_ms=2_000, keep=3)
    assert store.current() == newer.release_id


def test_without_a_release_nothing_is_built() -> None:
    with pytest.raises(ReleaseError, match="there is no release"):
        reindex(MemoryReleases(), index_of, created_ms=0, keep=3)
