from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from stream_scorer.core.messages import CustomerRequest, RequestedOffer
from stream_scorer.core.releases.offer_overlay import OfferOverlay, overlay_of
from stream_scorer.core.releases.release import Release, reading_features
from stream_scorer.core.towers.given_vectors import GivenVectors, offer_lookup
from tests.ranking_worlds import request
from tests.release_samples import model, offer, release

MODEL = model(1)
RELEASE = release(MODEL, [offer(number) for number in range(5)])


def asking(number: int, *stated: tuple[str, dict[str, Any]]) -> CustomerRequest:
    return request(number, offers=[RequestedOffer(*each) for each in stated])


def laid(*requests: CustomerRequest, over: Release = RELEASE) -> OfferOverlay:
    overlay, refusals = overlay_of(requests, over)
    assert overlay is not None
    assert refusals == {}
    return overlay


@pytest.mark.parametrize(
    "asked",
    [
        request(0),
        request(0, offers=[]),
        request(0, offers=["offer-1"]),
        asking(0, ("offer-1", {})),
        asking(0, ("nowhere", {"price": 2.0})),
    ],
)
def test_what_states_nothing_lays_nothing(asked: CustomerRequest) -> None:
    assert overlay_of([asked], RELEASE) == (None, {})


def test_stated_features_count_over_the_catalogs() -> None:
    overlay = laid(asking(0, ("offer-1", {"price": 9.0, "note": None}), ("offer-2", {"colour": None})))
    assert overlay.features == [
        {"price": 9.0, "colour": "red", "note": None},
        {"price": 2.0, "colour": None},
    ]
    made = MODEL.item_tower.embed(overlay.features, ["offer-1", "offer-2"]).vectors.astype(np.float32)
    assert np.array_equal(overlay.vectors, made)


def test_equal_statements_are_embedded_once() -> None:
    requests = [asking(number, ("offer-1", {"price": 9.0})) for number in range(3)]
    overlay = laid(*requests, asking(3, ("offer-2", {"price": 9.0})))
    assert overlay.offer_ids == ["offer-1", "offer-2"]
    assert overlay.places(np.arange(4), np.array([1, 1, 1, 1])).tolist() == [0, 0, 0, -1]


def test_unread_features_keep_the_catalogs_vector() -> None:
    other = replace(RELEASE.catalog, vectors=-RELEASE.catalog.vectors)  # no tower here makes these
    overlay = laid(asking(0, ("offer-3", {"shelf": "top"})), over=replace(RELEASE, catalog=other))
    assert np.array_equal(overlay.vectors, other.vectors[[3]])
    assert overlay.features == [{"price": 3.0, "colour": "red", "shelf": "top"}]


def test_vectors_do_not_depend_on_batches() -> None:
    many = [asking(number, (f"offer-{number % 5}", {"price": number / 7})) for number in range(150)]
    together = laid(*many).vectors
    alone = [laid(one).vectors[0] for one in many]
    assert np.array_equal(together, np.array(alone))


def test_consecutive_requests_are_numbered_anew() -> None:
    requests = [asking(0, ("offer-1", {"price": 9.0})), request(1), asking(2, ("offer-4", {"price": 8.0}))]
    part = laid(*requests).of(slice(2, 3), 3)
    assert part is not None
    assert part.places(np.array([0, 0]), np.array([4, 1])).tolist() == [1, -1]
    assert laid(*requests).of(slice(1, 2), 3) is None


@pytest.mark.parametrize(
    ("features", "code"),
    [
        ({"price": "dear"}, "feature_kind"),
        ({f"f{number}": 1.0 for number in range(255)}, "too_many_features"),
    ],
)
def test_unfit_statements_refuse_their_requests_alone(features: dict[str, Any], code: str) -> None:
    requests = [asking(0, ("offer-1", {"price": 2.0})), asking(1, ("offer-0", {}), ("offer-1", features))]
    _, refusals = overlay_of(requests, RELEASE)
    assert {number: refusal.code for number, refusal in refusals.items()} == {1: code}
    assert refusals[1].message.startswith("offers[1]: ")


def test_requests_answer_for_their_statements_alone() -> None:
    wrong = offer(0, features={"price": "dear", "colour": "red"})  # published in spite of it
    held = release(MODEL, [wrong])
    assert laid(asking(0, ("offer-0", {"colour": "blue"})), over=held).offer_ids == ["offer-0"]


def test_a_missing_item_tower_refuses_statements() -> None:
    held = replace(RELEASE, item_tower=None, item_tower_missing="the item tower is not here")
    _, refusals = overlay_of([request(0, offers=["offer-1"]), asking(1, ("offer-1", {"price": 2.0}))], held)
    assert {number: refusal.code for number, refusal in refusals.items()} == {1: "offer_features_unread"}


def test_towers_of_ids_alone_are_not_kept() -> None:
    assert reading_features(MODEL.item_tower) is MODEL.item_tower
    assert reading_features(offer_lookup(GivenVectors(("a",), np.ones((1, 2))))) is None
    held = replace(RELEASE, item_tower=None)
    overlay = laid(asking(0, ("offer-1", {"price": 9.0})), over=held)
    assert np.array_equal(overlay.vectors, held.catalog.vectors[[1]])
