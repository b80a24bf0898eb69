import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_scorer.core.messages import Offer, OfferId, ReleaseId
from stream_scorer.core.releases.catalog import ALWAYS_MS, NEVER_MS, Catalog
from stream_scorer.core.releases.change import OfferChange
from stream_scorer.errors import BadModel
from tests.ranking_worlds import catalog_of, offer, unit_vectors


def contents(catalog: Catalog) -> list[tuple[object, ...]]:
    bounds = zip(catalog.active.tolist(), catalog.valid_from_ms.tolist(), catalog.valid_until_ms.tolist(), strict=True)
    return list(zip(catalog.offer_ids, catalog.vectors.tolist(), catalog.fragments, bounds, strict=True))


def change(offer_id: str, vector: np.ndarray | None = None, **fields: object) -> OfferChange:
    stated = None if vector is None else offer(offer_id, **fields)
    return OfferChange(
        OfferId(offer_id), stated, b"" if vector is None else vector.astype(np.float32).tobytes(), (0, 0)
    )


def test_rows_are_sorted_by_offer_id() -> None:
    vectors = unit_vectors(3, 2)
    offers = [
        offer("b", active=False),
        offer("\u00e9", valid_from_ms=5, features={"a": 1.0}),
        offer("a", valid_until_ms=7),
    ]
    catalog = catalog_of(vectors, offers)
    assert (
        catalog.offer_ids == ["a", "b", "\u00e9"] == sorted(catalog.offer_ids, key=lambda offer_id: offer_id.encode())
    )
    assert catalog.index == {"a": 0, "b": 1, "\u00e9": 2}
    assert catalog.vectors.tolist() == vectors[[2, 0, 1]].astype(np.float32).tolist()
    assert catalog.fragments == [b"{}", b"{}", b'{"a":1.0}']
    assert catalog.active.tolist() == [True, False, True]
    assert catalog.valid_from_ms.tolist() == [ALWAYS_MS, ALWAYS_MS, 5]
    assert catalog.valid_until_ms.tolist() == [7, NEVER_MS, NEVER_MS]


def test_an_offer_id_twice_is_refused() -> None:
    with pytest.raises(BadModel, match="offer ids must differ, 1 of 2 are repeated"):
        catalog_of(unit_vectors(2, 2), [offer("a"), offer("a")])


@pytest.mark.parametrize("value", [np.nan, np.inf, 1.1])
def test_vectors_of_wrong_length_are_refused(value: float) -> None:
    vectors = unit_vectors(3, 2)
    vectors[1] = value
    with pytest.raises(BadModel, match="1 of 3"):
        catalog_of(vectors)


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(BadModel, match=r"3 offers need as many vectors, features and flags, got \[2, 3\]"):
        catalog_of(unit_vectors(2, 2), [offer("a"), offer("b"), offer("c")])


def test_changes_leave_the_old_catalog_alone() -> None:
    old, vectors = catalog_of(unit_vectors(3, 2)), unit_vectors(2, 2, seed=1)
    before = contents(old)
    new = old.with_changes(
        [change("o000001", vectors[0], active=False), change("o0000005", vectors[1]), change("o000002"), change("none")]
    )
    assert new.offer_ids == ["o000000", "o0000005", "o000001"]
    assert new.vectors.tolist() == [old.vectors[0].tolist(), *vectors[[1, 0]].astype(np.float32).tolist()]
    assert new.active.tolist() == [True, True, False]
    assert contents(old) == before


def test_an_offers_last_change_counts() -> None:
    vectors = unit_vectors(3, 2, seed=1)
    catalog = catalog_of(unit_vectors(1, 2)).with_changes(
        [change("x", vectors[0]), change("x"), change("y"), change("y", vectors[1])]
    )
    assert catalog.offer_ids == ["o000000", "y"]


def test_a_catalog_may_lose_its_last_offer() -> None:
    assert len(catalog_of(unit_vectors(1, 2)).with_changes([change("o000000")])) == 0


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.none() | st.integers(0, 9)), max_size=12), st.integers(0, 12))
def test_batching_changes_gives_the_same_catalog(drawn: list[tuple[str, int | None]], cut: int) -> None:
    vectors = unit_vectors(10, 3)
    changes = [change(offer_id, None if row is None else vectors[row]) for offer_id, row in drawn]
    empty = catalog_of(np.empty((0, 3)), [])
    left = {offer_id: row for offer_id, row in dict(drawn).items() if row is not None}
    expected = Catalog.of(
        ReleaseId("release-1"), [Offer(each, {}) for each in left], vectors[list(left.values())].astype(np.float32)
    )
    assert contents(empty.with_changes(changes)) == contents(expected)
    assert contents(empty.with_changes(changes[:cut]).with_changes(changes[cut:])) == contents(expected)


def test_what_is_derived_is_made_once() -> None:
    catalog, made = catalog_of(unit_vectors(2, 2)), []

    def make(catalog: Catalog) -> int:
        made.append(catalog)
        return len(catalog)

    assert [catalog.once(make), catalog.once(make)] == [2, 2]
    assert made == [catalog]
