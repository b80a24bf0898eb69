"""Requests that state features of their offers: filters, both stages, and what rankings carry."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_scorer.core.messages import CustomerRequest, Filter, RankedOffer, Ranking, RequestedOffer
from stream_scorer.core.ranking import best_offers, reranking
from stream_scorer.core.ranking.encoding import OfferFeatures
from stream_scorer.core.ranking.exploration import Exploration
from stream_scorer.core.ranking.pipeline import RankedBatch, rank_batch
from stream_scorer.core.releases.release import Release
from stream_scorer.core.towers.reranker import Shortlisted
from stream_scorer.core.verifying.scores import recompute_rankings
from stream_scorer.core.wire.codec import decode_all
from tests.ranking_worlds import TOPICS, record_of, request
from tests.release_samples import model, offer, release, reranked_model
from tests.reranking_samples import network

MODEL = model(3)
OFFERS = [offer(number) for number in range(40)]
RELEASE = release(MODEL, OFFERS)
TWO_STAGES = reranked_model(3, network())
RERANKED = release(TWO_STAGES, OFFERS)
PRICES = [{"price": 7.5 * number, "colour": "blue"} for number in range(6)]


def asking(number: int, *features: dict[str, Any], **fields: Any) -> CustomerRequest:
    """Return a request for as many offers, which states these features of them."""
    stated = [RequestedOffer(f"offer-{place * 3 + 1}", each) for place, each in enumerate(features)]
    customer = {"price": 0.5 * number, "colour": "red", "budget": 4.0 * number}
    return request(number, **{"offers": stated, "features": customer, **fields})


def batch_of(requests: Sequence[CustomerRequest], held: Release = RELEASE, **options: Any) -> RankedBatch:
    return rank_batch([record_of(one) for one in requests], held, topics=TOPICS, **options)


def ranked(requests: Sequence[CustomerRequest], held: Release = RELEASE, **options: Any) -> list[Ranking]:
    batch = batch_of(requests, held, **options)
    assert batch.dead_letters == []
    return decode_all([record_of(one.value) for one in batch.outputs if one.value is not None], Ranking).messages


def by_towers(asked: CustomerRequest) -> list[tuple[str, float, dict[str, Any]]]:
    """Score the offers of a request one by one, each by its merged features."""
    customer = MODEL.user_tower.embed([asked.features], [asked.customer_id]).vectors[0]
    scored = []
    for one in asked.stated_offers:
        features = {**OFFERS[int(one.offer_id.split("-")[1])].features, **one.features}
        vector = MODEL.item_tower.embed([features], [one.offer_id]).vectors[0].astype(np.float32).astype(np.float64)
        scored.append((one.offer_id, float(np.einsum("i,i->", customer, vector)), features))
    return sorted(scored, key=lambda one: (-one[1], one[0]))[: asked.limit]


REQUESTS = [
    asking(0, *PRICES),
    asking(1, *PRICES[:3], {}, limit=3),
    request(2, offers=["offer-1", "offer-4"], features={"colour": "red"}),
    asking(3, {"price": 3.0}, {"shelf": "top"}, {"price": None}),
    request(4, features={"price": 2.0}),
    asking(5, *reversed(PRICES)),
]


def test_scores_are_of_the_merged_features() -> None:
    rankings = ranked(REQUESTS)
    for number in (0, 1, 3, 5):
        placed = [(one.offer_id, one.features) for one in rankings[number].offers]
        expected = by_towers(REQUESTS[number])
        assert placed == [(offer_id, features) for offer_id, _, features in expected]
        scores = [score for _, score, _ in expected]
        assert [one.score for one in rankings[number].offers] == pytest.approx(scores, abs=1e-12)


def test_rankings_do_not_depend_on_batches() -> None:
    together = [output.value for output in batch_of(REQUESTS).outputs]
    assert [output.value for one in REQUESTS for output in batch_of([one]).outputs] == together


_statements = st.dictionaries(
    st.integers(0, 39).map("offer-{}".format),
    st.fixed_dictionaries(
        {},
        optional={
            "price": st.none() | st.floats(0, 60),
            "colour": st.sampled_from(["red", "blue"]),
            "shelf": st.just(1.0),
        },
    ),
    max_size=6,
)


@given(st.lists(_statements, min_size=1, max_size=6))
@settings(max_examples=40)
def test_any_batch_gives_the_same_bytes(drawn: list[dict[str, dict[str, Any]]]) -> None:
    requests = [
        request(number, offers=[RequestedOffer(*each) for each in stated.items()], features={"budget": 3.0 * number})
        for number, stated in enumerate(drawn)
    ]
    options: dict[str, Any] = {"exploration": Exploration(0.5, 0.1, 8)}
    for held in (RELEASE, RERANKED):
        together = [output.value for output in batch_of(requests, held, **options).outputs]
        assert [batch_of([one], held, **options).outputs[0].value for one in requests] == together


def test_passes_keep_statements_with_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    together = ranked(REQUESTS)
    monkeypatch.setattr(best_offers, "PASS_FLAGS_MAX", 80)  # two requests a pass
    assert ranked(REQUESTS) == together


def test_empty_features_rank_as_ids_do() -> None:
    ids = [f"offer-{number}" for number in range(9)]
    plain = request(0, offers=ids, features={"price": 3.0})
    objects = replace(plain, offers=[RequestedOffer(each, {}) for each in ids])
    assert [one.value for one in batch_of([plain]).outputs] == [one.value for one in batch_of([objects]).outputs]


def test_other_requests_bytes_stay_the_same() -> None:
    plain = [one for one in REQUESTS if not one.stated_offers]
    beside = {one.value for one in batch_of(REQUESTS).outputs}
    assert {one.value for one in batch_of(plain).outputs} <= beside


def test_unknown_offers_are_never_ranked() -> None:
    (ranking,) = ranked([request(0, offers=[RequestedOffer("nowhere", {"price": 1.0})])])
    assert (ranking.status, ranking.excluded) == ("nothing_eligible", {"unknown_offer": 1})


def test_filters_look_at_stated_features() -> None:
    cheap = [Filter("price", "<=", 20.0), Filter("colour", "==", "blue")]
    (ranking,) = ranked(
        [asking(0, {"price": 30.0}, {"price": 20.0, "colour": "blue"}, {"colour": "blue"}, filters=cheap)]
    )
    assert sorted(one.offer_id for one in ranking.offers) == ["offer-4", "offer-7"]
    assert ranking.excluded == {"filtered": 1}


def test_filters_look_at_each_requests_own_statements() -> None:
    """The catalog's prices are 1, 4 and 7: the first request states one too high, the second one low enough."""
    cheap = [Filter("price", "<=", 4.0)]
    rankings = ranked(
        [asking(0, {"price": 30.0}, {}, {}, filters=cheap), asking(1, {}, {}, {"price": 2.0}, filters=cheap)]
    )
    assert [sorted(one.offer_id for one in ranking.offers) for ranking in rankings] == [
        ["offer-4"],
        ["offer-1", "offer-4", "offer-7"],
    ]


def test_filters_compare_kinds_that_requests_state() -> None:
    by_text = [Filter("price", "==", "on demand")]
    (letter,) = batch_of([asking(0, {"colour": "blue"}, filters=by_text)]).dead_letters
    assert letter.code == "filter_kind_mismatch"
    (letter,) = batch_of([asking(0, {"price": "on demand"}, filters=by_text)]).dead_letters
    assert letter.code == "feature_kind"  # the filter makes sense, the item tower reads a number
    (ranking,) = ranked([asking(0, {"stock": "on demand"}, {}, filters=[Filter("stock", "==", "on demand")])])
    assert [one.offer_id for one in ranking.offers] == ["offer-1"]


def test_unfit_statements_harm_only_their_request() -> None:
    batch = batch_of([REQUESTS[0], asking(9, {"price": "dear"}), REQUESTS[3]])
    assert [letter.code for letter in batch.dead_letters] == ["feature_kind"]
    assert [one.value for one in batch.outputs] == [one.value for one in batch_of([REQUESTS[0], REQUESTS[3]]).outputs]


def test_rankings_carry_the_chosen_features_alone() -> None:
    (ranking,) = ranked([asking(0, {"price": 4.0, "note": "now"})], offer_features=OfferFeatures(("price",)))
    assert [one.features for one in ranking.offers] == [{"price": 4.0}]


def test_re_rankers_read_the_merged_features() -> None:
    for asked, ranking in zip(REQUESTS, ranked(REQUESTS, RERANKED), strict=True):
        for placed in ranking.offers:
            made = network().scores([asked.features], [asked.customer_id], *pair_of(placed))
            assert placed.reranker_score == made[0]
    assert recompute_rankings(ranked(REQUESTS, RERANKED), TWO_STAGES).faults == []


def pair_of(placed: RankedOffer) -> tuple[Shortlisted, Any]:
    nobody = np.zeros(1, np.int64)
    pair = Shortlisted(nobody, nobody, np.array([placed.score]), nobody + (placed.tower_rank or 0))
    return pair, network().offer_side([placed.features], [placed.offer_id])


@pytest.mark.parametrize("pairs_max", [1, 7])
def test_parts_of_batches_change_no_score(pairs_max: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ranked(REQUESTS, RERANKED)
    monkeypatch.setattr(reranking, "PAIRS_MAX", pairs_max)
    assert ranked(REQUESTS, RERANKED) == whole


def test_ignored_statements_show_in_scores() -> None:
    """A ranker that carries what was stated, but scores by the catalog, is found out."""
    ignoring = replace(RELEASE, item_tower=None)
    (fault,) = recompute_rankings(ranked([REQUESTS[0]], ignoring), MODEL).faults
    assert fault.kind == "score_wrong"
    assert recompute_rankings(ranked(REQUESTS), MODEL).faults == []


def test_stated_offers_read_back_from_json() -> None:
    value = msgspec.json.encode(REQUESTS[0])
    assert decode_all([record_of(value)], CustomerRequest).messages == [REQUESTS[0]]
