"""Models with a re-ranker are judged by the order of both stages, off-policy estimates among it."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from stream_scorer.core.datasets.chunks import Views
from stream_scorer.core.evaluation.judging import judge
from stream_scorer.core.evaluation.policies import ModelPolicy
from stream_scorer.core.evaluation.policy_value import SecondStage
from stream_scorer.core.messages import Offer
from stream_scorer.core.towers.reranker import Shortlisted
from stream_scorer.core.two_stages.judged import plain_rows, second_stage_of, within_requests
from stream_scorer.services.learning.evaluator import EvaluateOptions, OffPolicyOptions, evaluate_model
from tests import reranking_samples as samples
from tests.example_samples import Chunks, chunk
from tests.release_samples import model, reranked_model

RERANKER = samples.network()
MODEL = reranked_model(1, RERANKER)
OFFERS = [
    Offer(offer_id=f"offer-{row}", features={"price": float(3 * row), "genre": ("rock", "jazz")[row % 2]})
    for row in range(8)
]
CUSTOMERS: list[Any] = [{"budget": float(2 * row), "price": float(row % 5)} for row in range(40)]
FEATURES = [offer.features for offer in OFFERS]
OPTIONS = EvaluateOptions(
    k=3, held_out=0.999, seed=0, off_policy=OffPolicyOptions(ModelPolicy(), ess_min=1.0, weight_max=1e9)
)


def names(count: int) -> list[str]:
    return [f"c-{row}" for row in range(count)]


def tower_scores() -> np.ndarray:
    users = MODEL.user_tower.embed(CUSTOMERS, names(40)).vectors
    return np.asarray(users @ MODEL.item_tower.embed(FEATURES, [one.offer_id for one in OFFERS]).vectors.T)


def reranked_scores() -> np.ndarray:
    """Return the re-ranker's scores (40, 8) of every pair."""
    scores = tower_scores()
    ranks = np.argsort(np.argsort(-scores, axis=1, kind="stable"), axis=1) + 1
    request, offer = np.divmod(np.arange(scores.size), 8)
    listed = Shortlisted(request, offer, scores.reshape(-1), ranks.reshape(-1))
    side = RERANKER.offer_side(FEATURES, [one.offer_id for one in OFFERS])
    return RERANKER.scores(CUSTOMERS, names(40), listed, side).reshape(scores.shape)


def uniform_log() -> Chunks:
    """Return a log of one random offer a request; customers accept the first offer of both stages and no other."""
    rng = np.random.default_rng(0)
    who, what = rng.integers(40, size=2_000), rng.integers(8, size=2_000)
    best = reranked_scores().argmax(axis=1)
    rows = [(int(one), int(offer), int(best[one] == offer)) for one, offer in zip(who, what, strict=True)]
    views = Views(names(40), CUSTOMERS), Views([one.offer_id for one in OFFERS], FEATURES)
    return Chunks((chunk(*views, rows, propensity=np.full(2_000, 1 / 8)),))


def earned(reranked: bool, options: EvaluateOptions = OPTIONS) -> float:
    seen = Chunks((uniform_log().parts[0],))
    found = evaluate_model(MODEL if reranked else model(1), OFFERS, uniform_log(), seen, options).off_policy
    assert found is not None
    assert found.estimate.snips is not None
    return found.estimate.snips.value


@pytest.fixture(scope="module")
def second() -> SecondStage:
    judged = judge(MODEL, OFFERS, uniform_log(), uniform_log(), held_out=0.5)
    found = second_stage_of(MODEL, plain_rows(judged, uniform_log(), uniform_log()))
    assert found is not None
    return found


def test_the_policy_ranks_by_both_stages() -> None:
    assert earned(reranked=True) == pytest.approx(1.0)
    towers_alone = earned(reranked=False)
    assert towers_alone < 0.9
    assert earned(reranked=True, options=replace(OPTIONS, shortlist=1)) == pytest.approx(towers_alone)


def test_hidden_offers_are_left_out(second: SecondStage) -> None:
    scores = np.linspace(1.0, 0.1, 8)[None].copy()
    scores[0, 2] = -np.inf
    assert np.isfinite(second(np.array([0]), scores)[0]).tolist() == [row != 2 for row in range(8)]


def test_towers_alone_have_no_second_stage() -> None:
    judged = judge(model(1), OFFERS, uniform_log(), uniform_log(), held_out=0.5)
    assert plain_rows(judged, uniform_log(), uniform_log()) is None
    assert second_stage_of(model(1), None) is None


def test_choices_are_judged_by_final_scores() -> None:
    best = reranked_scores().argmax(axis=1)
    shown = [(one, int(best[one] + step) % 8) for step in range(3) for one in range(40)]  # requests lie interleaved
    views = Views(names(40), CUSTOMERS), Views([one.offer_id for one in OFFERS], FEATURES)
    request = np.tile(np.arange(1, 41, dtype=np.uint64), 3)
    rows = [(one, offer, int(best[one] == offer)) for one, offer in shown]
    log = Chunks((chunk(*views, rows, request=request, request_time_ms=np.full(120, 1_000)),))
    judged = judge(MODEL, OFFERS, log, uniform_log(), held_out=0.5)
    _, found = within_requests(judged, plain_rows(judged, log, uniform_log()))
    assert found is not None
    assert found.final is not None
    assert found.final.top_1.value == 1.0
    _, alone = within_requests(replace(judged, model=replace(MODEL, reranker=None)), None)
    assert alone is not None
    assert alone.final is not None
    assert alone.final.top_1.value < 1.0
