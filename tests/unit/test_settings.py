import pytest
from pydantic import ValidationError

from stream_scorer.settings import JoinSettings


def test_a_fast_clock_may_not_run_ahead_by_more_than_the_disorder_allowed() -> None:
    with pytest.raises(ValidationError, match="skew_ms must be at most disorder_ms = 1000, got 2000"):
        JoinSettings(disorder_ms=1_000, skew_ms=2_000)


def test_a_skew_that_is_not_given_follows_a_shorter_disorder() -> None:
    assert JoinSettings(disorder_ms=1_000).skew_ms == 1_000
    assert JoinSettings.model_validate({"disorder_ms": "90000"}).skew_ms == 60_000
