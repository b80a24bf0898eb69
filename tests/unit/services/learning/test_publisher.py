"""From a model and offers to the release that serves."""

from dataclasses import replace

import numpy as np
import pytest

from stream_scorer.adapters.memory.releases import MemoryReleases
from stream_scorer.core.releases import offer_side
from stream_scorer.core.towers.model import Model
from stream_scorer.core.towers.tower import Layer
from stream_scorer.errors import BadModel, ReleaseError
from stream_scorer.services.learning.publisher import BATCH_OFFERS, Draft, draft_release, held_against, publish
from tests.release_samples import DIM, model, offer, release, reranked_model
from tests.reranking_samples import network


def drafted(made: Model, offers: int = 5, **differing: object) -> Draft:
    stated = [offer(number, **differing) for number in range(offers)]
    return draft_release(made, stated, created_ms=1_000, embedded=lambda count: None)


def test_a_published_release_serves() -> None:
    store, made = MemoryReleases(), model(1)
    published = publish(store, made, drafted(made), keep=3, force=False)
    assert store.current() == published.release_id
    assert store.load(published.release_id).catalog.offer_ids == [f"offer-{number}" for number in range(5)]


def test_every_offer_has_its_item_tower_vector() -> None:
    made, count = model(1), BATCH_OFFERS + 3
    stated = [offer(number) for number in range(count)]
    draft = draft_release(made, stated, created_ms=1_000, embedded=lambda done: None)
    expected = release(made, stated).catalog
    assert draft.release.catalog.vectors.tobytes() == expected.vectors.tobytes()
    assert draft.release.release_id == draft.release.catalog.release_id == release(made, stated).release_id


@pytest.mark.parametrize(
    ("offers", "faults"), [(5, []), (4, ["6 of 10 offers that are served now are missing, more than half: "])]
)
def test_dropping_over_half_of_offers_is_refused(offers: int, faults: list[str]) -> None:
    store, made = MemoryReleases(), model(1)
    publish(store, made, held_against(drafted(made, offers=10), store), keep=3, force=False)
    draft = held_against(drafted(model(2), offers=offers), store)
    assert [fault[: len(faults[0])] for fault in draft.faults] == faults


def test_progress_reports_the_count_so_far() -> None:
    told: list[int] = []
    draft_release(model(1), [offer(number) for number in range(BATCH_OFFERS + 3)], created_ms=0, embedded=told.append)
    assert told == [BATCH_OFFERS, BATCH_OFFERS + 3]


def test_gate_refusals_leave_nothing_behind() -> None:
    store, made = MemoryReleases(), model(1)
    first = publish(store, made, drafted(made), keep=3, force=False)
    with pytest.raises(BadModel, match=r"5 of 5 offers have features .*; the first is offer-0"):
        publish(store, made, drafted(made, features={"price": "dear"}), keep=3, force=False)
    assert store.current() == first.release_id
    assert len(store.releases()) == 1


def test_what_is_forced_serves_and_says_so() -> None:
    store, made = MemoryReleases(), model(1)
    forced = publish(store, made, drafted(made, features={"price": "dear"}), keep=3, force=True)
    assert store.current() == forced.release_id
    assert "features that the item tower cannot read" in store.releases()[0].forced[0]


def test_errors_in_later_batches_name_the_offer() -> None:
    stated = [offer(number) for number in range(BATCH_OFFERS + 3)]
    stated[-1] = replace(stated[-1], offer_id="zz", features={"price": "dear"})
    draft = draft_release(model(1), stated, created_ms=0, embedded=lambda count: None)
    assert "the first is zz: " in draft.faults[0]


def test_infinite_vectors_are_refused_even_forced() -> None:
    made = model(1)
    broken = replace(
        made, item_tower=replace(made.item_tower, layers=(Layer(np.full((DIM, 4), np.nan), np.zeros(DIM)),))
    )
    with pytest.raises(BadModel, match="not finite"):
        drafted(broken)


@pytest.mark.parametrize(
    "features", [{"Price": 1.0}, {"features": '{"price": 1.0}'}, {"features.price": 1.0, "features.colour": "red"}, {}]
)
def test_offers_without_any_feature_are_refused(features: dict[str, object]) -> None:
    draft = drafted(model(1), features=features)
    assert draft.coverage.missing == {"price": 5, "colour": 5}
    assert [fault[:54] for fault in draft.faults] == ["0 of 2 features that the model reads are in the file ("]


def test_offers_with_some_features_are_taken() -> None:
    draft = drafted(model(1), features={"price": 1.0, "Colour": "red"})
    assert (draft.faults, draft.coverage.missing, draft.coverage.unknown) == ([], {"colour": 5}, {"Colour": 5})


def test_a_reranker_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offer_side, "SIDE_BYTES_MAX", 100)
    with pytest.raises(ReleaseError, match="of 5 offers"):
        drafted(reranked_model(1, network()))
    drafted(model(1))
