import pytest
from pydantic import ValidationError

from stream_scorer.settings import JoinSettings, TracingSettings


def test_skew_is_at_most_the_disorder() -> None:
    with pytest.raises(ValidationError, match="skew_ms must be at most disorder_ms = 1000, got 2000"):
        JoinSettings(disorder_ms=1_000, skew_ms=2_000)


def test_an_unset_skew_follows_the_disorder() -> None:
    assert JoinSettings(disorder_ms=1_000).skew_ms == 1_000
    assert JoinSettings.model_validate({"disorder_ms": "90000"}).skew_ms == 60_000


def test_a_collector_has_a_web_address() -> None:
    assert TracingSettings(endpoint="http://localhost:4318").endpoint == "http://localhost:4318"
    with pytest.raises(ValidationError, match="begins with neither http:// nor https://: localhost:4318"):
        TracingSettings(endpoint="localhost:4318")
