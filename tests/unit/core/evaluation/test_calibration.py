"""Logistic curves, and intervals that hold what they should."""

import numpy as np
import pytest

from stream_scorer.core.evaluation.calibration import calibration, logistic_fit, sigmoid
from stream_scorer.core.evaluation.intervals import bootstrap, mean_interval


def drawn(rows: int = 20_000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    scores = rng.uniform(-1, 1, rows)
    accepted = (rng.random(rows) < sigmoid(3 * scores - 2)).astype(float)
    return np.arange(rows) % 2 == 0, scores, accepted


def test_a_logistic_curve_is_found_again() -> None:
    _, scores, accepted = drawn()
    assert logistic_fit(np.column_stack([np.ones(len(scores)), scores]), accepted) == pytest.approx([-2, 3], abs=0.15)


def test_separable_rows_do_not_run_away() -> None:
    weights = logistic_fit(np.array([[1.0, -1.0], [1.0, 1.0]]), np.array([0.0, 1.0]))
    assert np.isfinite(weights).all()


def test_scores_that_tell_the_odds_are_calibrated() -> None:
    found = calibration(*drawn())
    assert found is not None
    assert found.error < 0.02
    assert found.log_loss < found.base_log_loss - 0.05
    assert [one.rows for one in found.bins] == [2_000] * 10


def test_weighted_negatives_give_odds_of_all_rows() -> None:
    fold, scores, accepted = drawn(60_000)
    kept = (accepted == 1) | (np.random.default_rng(4).random(len(scores)) < 0.25)
    sampled = calibration(fold[kept], scores[kept], accepted[kept], np.where(accepted == 1, 1.0, 4.0)[kept])
    every = calibration(fold, scores, accepted)
    assert sampled is not None
    assert every is not None
    assert sampled.error < 0.02
    assert (sampled.log_loss, sampled.base_log_loss) == pytest.approx((every.log_loss, every.base_log_loss), abs=0.01)


def test_uninformative_scores_do_not_beat_the_mean() -> None:
    fold, scores, accepted = drawn()
    found = calibration(fold, np.random.default_rng(2).permutation(scores), accepted)
    assert found is not None
    assert found.log_loss == pytest.approx(found.base_log_loss, abs=1e-3)


def test_calibration_needs_both_labels_per_half() -> None:
    fold, scores, _ = drawn(100)
    assert calibration(fold, scores, np.zeros(100)) is None


def test_intervals_cover_the_mean_in_95_percent() -> None:
    rng = np.random.default_rng(3)
    found = [mean_interval(rng.exponential(size=200), rng) for _ in range(100)]
    assert 88 <= sum(one is not None and one.low <= 1.0 <= one.high for one in found) <= 100


def test_interval_of_a_ratio_is_of_sums() -> None:
    parts = np.column_stack([np.full(50, 3.0), np.full(50, 4.0)])
    found = bootstrap(parts, lambda sums, count: sums[:, 0] / sums[:, 1], np.random.default_rng(0))
    assert found is not None
    assert (found.value, found.low, found.high) == (0.75, 0.75, 0.75)


def test_nothing_has_no_interval() -> None:
    assert mean_interval(np.zeros(0), np.random.default_rng(0)) is None
