"""What an interval of differences shows."""

import pytest

from stream_scorer.core.evaluation.intervals import Interval, beyond_noise


@pytest.mark.parametrize(("low", "high", "sign"), [(0.01, 0.3, 1), (-0.3, -0.01, -1), (-0.1, 0.1, 0), (0.0, 0.2, 0)])
def test_an_interval_beyond_zero_decides(low: float, high: float, sign: int) -> None:
    assert beyond_noise(Interval((low + high) / 2, low, high), 10) == sign


def test_few_customers_decide_nothing() -> None:
    assert [beyond_noise(Interval(0.4, 0.4, 0.4), customers) for customers in (1, 9, 10)] == [0, 0, 1]
