"""A loaded release does what the ranker does, and says in a sentence what it cannot."""

import msgspec
import numpy as np
import pytest

from stream_scorer.adapters.local.clock import HandClock
from stream_scorer.core.messages import CustomerRequest
from stream_scorer.core.ranking.pipeline import RankTopics, rank_batch
from stream_scorer.core.records import Record
from stream_scorer.core.wire.codec import encode_without_absent
from stream_scorer.errors import UsageError
from stream_scorer.services.operating.loaded_release import LoadedRelease
from tests.release_samples import model, offer, release
from tests.ring import request

RELEASE = release(model(1), [offer(number, valid_until_ms=1_000 if number == 8 else None) for number in range(9)])
LOADED = LoadedRelease(RELEASE, HandClock(500))
REQUESTS = [request(number) for number in range(40)]


def test_rankings_are_those_of_the_ranker() -> None:
    records = [Record("r", 0, number, None, msgspec.json.encode(each), 0) for number, each in enumerate(REQUESTS)]
    ranked = rank_batch(records, RELEASE, topics=RankTopics("r", "a", "k", "o"))
    assert [encode_without_absent(each) for each in LOADED.rank(REQUESTS)] == [each.value for each in ranked.outputs]


def test_scores_are_those_of_rankings() -> None:
    scores, columns = LOADED.score(REQUESTS), {str(each): place for place, each in enumerate(LOADED.offer_ids)}
    assert scores.shape == (40, 9)
    for row, ranking in zip(scores, LOADED.rank(REQUESTS), strict=True):
        assert [each.score for each in ranking.offers] == [row[columns[each.offer_id]] for each in ranking.offers]


def test_vectors_are_the_towers_own() -> None:
    vectors = LOADED.embed(REQUESTS)
    features = [each["features"] for each in REQUESTS]
    expected = RELEASE.user_tower.embed(features, [each["customer_id"] for each in REQUESTS]).vectors
    assert vectors.tobytes() == expected.tobytes()
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1)


def test_customer_and_features_are_enough() -> None:
    first, second = LOADED.rank([{"customer_id": "c", "features": {}}, {"customer_id": "d", "features": {}}], limit=9)
    assert (first.request_id, first.event_time_ms, second.request_id) == ("row-0", 500, "row-1")
    assert (len(first.offers), first.eligible_count) == (9, 9)


def test_offers_follow_the_requests_time() -> None:
    (ranking,) = LOADED.rank([{"customer_id": "c", "features": {}, "event_time_ms": 2_000}], limit=9)
    assert ranking.eligible_count == 8


def test_numbers_of_numpy_pass() -> None:
    plain = {"customer_id": "c", "features": {"price": 3.0, "colour": "red"}}
    given = {"customer_id": np.str_("c"), "features": {"price": np.float32(3), "colour": np.array("red")}}
    assert LOADED.embed([given]).tobytes() == LOADED.embed([plain]).tobytes()


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ({"customer_id": "c"}, r"requests\[1\]: features: Field required \(missing_field\)"),
        ({"customer_id": "c", "features": {"price": float("nan")}}, r"requests\[1\]: .*\(nan_or_infinity\)"),
        ({"customer_id": "c", "features": {"price": [1.0, 2.0]}}, r"requests\[1\]: .*price"),
        ({"customer_id": "c", "features": {"price": {1, 2}}}, "cannot be written as JSON: a value of type set"),
        (5, "a message or a mapping of its fields is needed, got int"),
    ],
)
def test_a_refused_request_is_named(bad: object, reason: str) -> None:
    for method in (LOADED.rank, LOADED.embed, LOADED.score):
        with pytest.raises(UsageError, match=reason):
            method([REQUESTS[0], bad])  # type: ignore[list-item]


def test_one_request_is_no_sequence() -> None:
    with pytest.raises(UsageError, match="a sequence of requests is needed, got one dict"):
        LOADED.rank(REQUESTS[0])  # type: ignore[arg-type]


def test_messages_are_requests_too() -> None:
    message = CustomerRequest("q", "c", 7, {"price": 1.0}, limit=2)
    (ranking,) = LOADED.rank([message])
    assert (ranking.request_id, len(ranking.offers)) == ("q", 2)
