"""Why a ranking is as it is: each feature left out in turn."""

from dataclasses import replace

import pytest

from stream_scorer.core.inspecting.explaining import OFFERS_MAX, SCORE_TOLERANCE, explain
from stream_scorer.core.messages import Ranking
from stream_scorer.core.ranking.pipeline import RankTopics, rank_batch
from stream_scorer.core.records import Record
from stream_scorer.core.wire.codec import decode_all, encode
from tests.release_samples import model, offer, release

MODEL = model(1)
RELEASE = release(MODEL, [offer(number, features={"price": number - 2.0, "colour": "blue"}) for number in range(5)])
NAMES = RankTopics("requests", "acceptances", "rankings", "outcomes")


def ranked(**features: object) -> Ranking:
    request = {"request_id": "q", "customer_id": "ada", "event_time_ms": 5, "features": features, "limit": 5}
    batch = rank_batch([Record("requests", 0, 0, None, encode(request), 5)], RELEASE, topics=NAMES)
    values = [Record("rankings", 0, 0, None, each.value, 5) for each in batch.outputs]
    return decode_all(values, Ranking).messages[0]


RANKING = ranked(price=1.5, colour="red")


def test_scores_come_out_again() -> None:
    found = explain(RANKING, MODEL)
    assert [each.offer for each in found] == RANKING.offers
    assert [each.place for each in found] == [1, 2, 3, 4, 5]
    assert not any(each.fault for each in found)


def test_each_stated_feature_is_left_out() -> None:
    names = {(part.side, part.feature) for part in explain(RANKING, MODEL)[0].parts}
    assert names == {("customer", "price"), ("customer", "colour"), ("offer", "price"), ("offer", "colour")}


def test_a_customers_feature_adds_its_difference() -> None:
    part = next(one for one in explain(RANKING, MODEL)[0].parts if (one.side, one.feature) == ("customer", "price"))
    without = {each.offer_id: each.score for each in ranked(colour="red").offers}
    best = RANKING.offers[0]
    assert part.adds == pytest.approx(best.score - without[best.offer_id], abs=1e-6)
    assert part.place == 1 + sum(score > without[best.offer_id] for score in without.values())


def test_an_offers_feature_moves_that_offer_alone() -> None:
    found = explain(RANKING, MODEL)[1]
    part = next(one for one in found.parts if (one.side, one.feature) == ("offer", "price"))
    score = found.offer.score - part.adds
    others = [one.score for one in RANKING.offers if one.offer_id != found.offer.offer_id]
    assert part.place == 1 + sum(other > score + SCORE_TOLERANCE for other in others)


def test_what_weighs_most_comes_first() -> None:
    weights = [abs(part.adds) for part in explain(RANKING, MODEL)[0].parts]
    assert weights == sorted(weights, reverse=True)


def test_another_models_score_is_not_explained() -> None:
    assert all(each.fault and not each.parts for each in explain(RANKING, model(7)))


def test_the_catalog_stands_in_for_features() -> None:
    bare = replace(RANKING, offers=[replace(one, features={}) for one in RANKING.offers])
    assert all(each.fault for each in explain(bare, MODEL))
    found = explain(bare, MODEL, RELEASE.catalog)
    assert not any(each.fault for each in found)
    assert {part.side for each in found for part in each.parts} == {"customer"}


def test_long_rankings_are_explained_in_part() -> None:
    many = replace(RANKING, offers=RANKING.offers * 10)
    assert len(explain(many, MODEL)) == OFFERS_MAX
    assert explain(replace(RANKING, offers=[]), MODEL) == []
