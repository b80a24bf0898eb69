"""What an interval of differences shows."""

import pytest

from stream_scorer.core.evaluation.intervals import Interval, beyond_noise, share_interval


@pytest.mark.parametrize(("low", "high", "sign"), [(0.01, 0.3, 1), (-0.3, -0.01, -1), (-0.1, 0.1, 0), (0.0, 0.2, 0)])
def test_an_interval_beyond_zero_decides(low: float, high: float, sign: int) -> None:
    assert beyond_noise(Interval((low + high) / 2, low, high), 10) == sign


def test_few_customers_decide_nothing() -> None:
    assert [beyond_noise(Interval(0.4, 0.4, 0.4), customers) for customers in (1, 9, 10)] == [0, 0, 1]


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"), [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0)]
)
def test_wilsons_interval_of_a_share(hits: int, of: int, low: float, high: float) -> None:
    found = share_interval(hits, of)
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((hits / of, low, high), abs=1e-4)


def test_a_share_of_nothing_is_unknown() -> None:
    assert share_interval(0, 0) is None
