"""Scores as odds of a choice."""

import numpy as np
import pytest

from stream_scorer.core.evaluation.calibration import choices

REQUEST = np.repeat(np.arange(40), 4)
RNG = np.random.default_rng(0)
CHOSEN = RNG.integers(4, size=40)
ACCEPTED = (np.arange(4)[None] == CHOSEN[:, None]).reshape(-1).astype(np.int8)


def test_equal_scores_give_equal_odds() -> None:
    found = choices(REQUEST, np.zeros(160), np.zeros(160), ACCEPTED)
    assert found.final is not None
    assert found.final.log_loss.value == pytest.approx(np.log(4)) == found.uniform_log_loss
    assert found.final.top_1.value == pytest.approx(1 / 4)


def test_accepted_best_scores_lose_little() -> None:
    found = choices(REQUEST, 0.1 * ACCEPTED, np.zeros(160), ACCEPTED)
    assert found.final is not None
    assert (found.requests, found.final.top_1.value) == (40, 1.0)
    assert found.final.log_loss.value < 0.01


def test_popularity_gives_offers_their_shares() -> None:
    found = choices(REQUEST, np.zeros(160), np.tile([7.0, 3.0, 3.0, 3.0], 40), ACCEPTED)
    shares = np.where(CHOSEN == 0, 8 / 20, 4 / 20)
    assert found.popularity is not None
    assert found.popularity.log_loss.value == pytest.approx(-np.log(shares).mean())


def test_too_few_choices_give_a_reason() -> None:
    accepted = np.where(REQUEST < 30, 1, ACCEPTED).astype(np.int8)  # requests of which all was accepted are no choices
    found = choices(REQUEST, np.zeros(160), np.zeros(160), accepted)
    assert (found.requests, found.final) == (10, None)
    assert "got 10" in str(found.reason)


def test_rows_may_come_in_any_order() -> None:
    order = RNG.permutation(160)
    scores = RNG.normal(size=160) + ACCEPTED
    one = choices(REQUEST, scores, 0 * scores, ACCEPTED)
    other = choices(REQUEST[order], scores[order], 0 * scores, ACCEPTED[order])
    assert one.final is not None
    assert other.final is not None
    assert one.final.log_loss.value == pytest.approx(other.final.log_loss.value)


def test_a_part_gives_the_scale() -> None:
    scores = RNG.normal(size=(9_000, 3))
    odds = np.exp(2 * scores) / np.exp(2 * scores).sum(axis=1, keepdims=True)
    chosen = (odds.cumsum(axis=1) < RNG.random((9_000, 1))).sum(axis=1)
    accepted = (np.arange(3)[None] == chosen[:, None]).reshape(-1).astype(np.int8)
    found = choices(np.repeat(np.arange(9_000), 3), scores.reshape(-1), np.zeros(27_000), accepted)
    assert found.final is not None
    assert found.final.log_loss.value == pytest.approx(-np.log(odds[np.arange(9_000), chosen]).mean(), abs=0.003)


def test_no_choice_chooses_its_own_scale() -> None:
    scores = RNG.normal(size=(2_000, 3))
    chosen = (scores + RNG.gumbel(size=scores.shape)).argmax(axis=1)
    accepted = (np.arange(3)[None] == chosen[:, None]).reshape(-1).astype(np.int8)
    scores[1::2] *= 10  # what suits one half makes the other far too sure, or hardly sure at all
    found = choices(np.repeat(np.arange(2_000), 3), scores.reshape(-1), np.zeros(6_000), accepted)
    assert found.final is not None
    assert found.final.log_loss.value > 2.0
