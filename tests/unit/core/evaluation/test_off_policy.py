"""Off-policy estimates: known answers, unbiased on simulated logs, refused where weights leave too little."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from stream_scorer.core.evaluation.off_policy import LoggedPlaces, off_policy
from stream_scorer.core.evaluation.policies import ModelPolicy, Pool, chance_of, drawn

OFFERS, PLACES = 5, 3
ODDS = np.array([0.6, 0.1, 0.3, 0.5, 0.2])
SEEN = np.array([1.0, 0.6, 0.4])  # how likely each place is looked at
LOGGING = ModelPolicy(temperature=1.0, floor=0.3, pool=OFFERS)
TARGET = ModelPolicy(temperature=0.5, floor=0.1, pool=OFFERS)


def ranked(policy: ModelPolicy, scores: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    pool = Pool(scores, policy)
    offers, chances = np.zeros((len(scores), PLACES), np.int64), np.zeros((len(scores), PLACES))
    for place in range(PLACES):
        choices = pool.choices()
        offers[:, place] = drawn(choices, rng.random(len(scores)))
        chances[:, place] = chance_of(choices, offers[:, place])
        pool.remove(offers[:, place])
    return offers, chances


def chances_of(policy: ModelPolicy, scores: np.ndarray, offers: np.ndarray) -> np.ndarray:
    pool = Pool(scores, policy)
    chances = np.zeros(offers.shape)
    for place in range(PLACES):
        chances[:, place] = chance_of(pool.choices(), offers[:, place])
        pool.remove(offers[:, place])
    return chances


def log_of(rows: int, rng: np.random.Generator, target: ModelPolicy = TARGET) -> LoggedPlaces:
    old, new = np.tile([0.0, 1.0, 0.5, 0.2, 0.8], (rows, 1)), np.tile(2 * ODDS, (rows, 1))
    offers, propensity = ranked(LOGGING, old, rng)
    reward = (rng.random(offers.shape) < ODDS[offers] * SEEN).astype(float)
    nothing = np.zeros(offers.shape)
    return LoggedPlaces(
        np.ones(offers.shape, bool), reward, propensity, chances_of(target, new, offers), nothing, nothing, nothing
    )


@cache
def truth(target: ModelPolicy = TARGET) -> float:
    offers, _ = ranked(target, np.tile(2 * ODDS, (200_000, 1)), np.random.default_rng(9))
    return float((ODDS[offers] * SEEN).sum(axis=1).mean())


def test_estimates_meet_what_the_policy_would_earn() -> None:
    rng = np.random.default_rng(0)
    found = off_policy(log_of(60_000, rng), rng)
    for estimate in (found.ips, found.snips, found.doubly_robust):
        assert estimate is not None
        assert estimate.low < truth() < estimate.high
        assert estimate.high - estimate.low < 0.05
    assert found.logged is not None
    assert abs(found.logged.value - truth()) > 0.05


def test_reward_model_narrows_the_doubly_robust_estimate() -> None:
    rng = np.random.default_rng(1)
    log = log_of(20_000, rng)
    new = np.tile(2 * ODDS, (20_000, 1))
    pool, expected, predicted = Pool(new, TARGET), np.zeros(log.reward.shape), np.zeros(log.reward.shape)
    offers, _ = ranked(LOGGING, np.tile([0.0, 1.0, 0.5, 0.2, 0.8], (20_000, 1)), np.random.default_rng(1))
    for place in range(PLACES):
        choices = pool.choices()
        predicted[:, place] = ODDS[offers[:, place]] * SEEN[place]
        expected[:, place] = (choices.chances * ODDS[choices.offers]).sum(axis=1) * SEEN[place]
        pool.remove(offers[:, place])
    found = off_policy(replace(log, predicted=predicted, expected=expected), rng)
    assert found.doubly_robust is not None
    assert found.ips is not None
    assert found.doubly_robust.low < truth() < found.doubly_robust.high
    assert found.doubly_robust.high - found.doubly_robust.low < found.ips.high - found.ips.low


def test_logging_policy_is_worth_what_was_logged() -> None:
    log = log_of(500, np.random.default_rng(2))
    found = off_policy(replace(log, chance=log.propensity), np.random.default_rng(0))
    assert found.ips is not None
    assert found.logged is not None
    assert found.ips.value == pytest.approx(found.logged.value)
    assert found.effective_sample_size == pytest.approx(500)
    assert found.largest_weight == pytest.approx(1)


def test_estimate_from_few_rankings_is_refused() -> None:
    log = log_of(2_000, np.random.default_rng(3))
    rare = replace(log, chance=np.where(np.arange(2_000)[:, None] < 20, 1.0, 1e-6))
    found = off_policy(rare, np.random.default_rng(0))
    assert (found.ips, found.snips, found.doubly_robust) == (None, None, None)
    assert found.refused is not None
    assert "of 2,000 rankings, at least 100 is needed" in found.refused


def test_log_without_the_policys_rankings_is_refused() -> None:
    log = log_of(4_000, np.random.default_rng(3))
    found = off_policy(
        replace(log, chance=np.where(log.propensity > 0.3, 0.0, log.propensity)), np.random.default_rng(0)
    )
    assert found.ips is None
    assert found.refused is not None
    assert "the log lacks rankings" in found.refused
    assert found.mean_weight < 0.8


def test_cut_weights_are_at_most_the_cut() -> None:
    found = off_policy(log_of(2_000, np.random.default_rng(4)), np.random.default_rng(0), weight_max=2.0)
    assert found.largest_weight == 2.0


def test_absent_places_count_nothing() -> None:
    log = log_of(1_000, np.random.default_rng(5))
    short = replace(log, present=log.present & (np.arange(PLACES) < 2))
    same = LoggedPlaces(*(getattr(log, name)[:, :2] for name in LoggedPlaces.__slots__))
    ours, expected = off_policy(short, np.random.default_rng(0)), off_policy(same, np.random.default_rng(0))
    assert (ours.ips, ours.snips, ours.effective_sample_size) == (
        expected.ips,
        expected.snips,
        expected.effective_sample_size,
    )


def test_chances_sum_to_one_until_pool_empties() -> None:
    pool = Pool(np.array([[3.0, 1.0, 2.0]]), ModelPolicy(temperature=0.7, floor=0.2, pool=2))
    assert pool.choices().offers.tolist() == [[0, 2]]
    assert pool.choices().chances.sum() == pytest.approx(1)
    for offer in (0, 2):
        pool.remove(np.array([offer]))
    assert pool.choices().chances.tolist() == [[0.0, 0.0]]


def test_best_offer_is_certain_at_temperature_zero() -> None:
    pool = Pool(np.array([[3.0, 1.0, 2.0]]), ModelPolicy())
    pool.remove(np.array([0]))
    assert chance_of(pool.choices(), np.array([2])).tolist() == [1.0]
    assert drawn(pool.choices(), np.array([0.999])).tolist() == [2]


def test_offer_beyond_the_pool_has_no_chance() -> None:
    pool = Pool(np.array([[3.0, 1.0, 2.0]]), ModelPolicy(temperature=1.0, floor=0.5, pool=2))
    assert chance_of(pool.choices(), np.array([1])).tolist() == [0.0]
