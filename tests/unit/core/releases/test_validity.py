"""Catalogs whose times would leave nothing to rank."""

from typing import Any

import pytest

from stream_scorer.core.messages import Offer
from stream_scorer.core.releases.validity import validity_cautions

NOW_MS = 1_764_000_000_000


def cautions(*times: dict[str, Any]) -> str:
    offers = [Offer(offer_id=f"o{number}", features={}, **each) for number, each in enumerate(times)]
    return "; ".join(validity_cautions(offers, NOW_MS))


@pytest.mark.parametrize("times", [{}, {"valid_until_ms": NOW_MS + 1}, {"valid_from_ms": NOW_MS}, {"valid_from_ms": 0}])
def test_offers_valid_now_need_no_caution(times: dict[str, Any]) -> None:
    assert cautions(times, {"valid_until_ms": NOW_MS}) == ""


def test_a_catalog_that_has_ended_is_named() -> None:
    sentence = cautions({"valid_until_ms": NOW_MS}, {"valid_from_ms": NOW_MS + 1}, {"active": False})
    assert sentence.startswith("none of 3 offers can be ranked now: 1 have ended (valid_until_ms), 1 begin later")


def test_times_in_seconds_are_always_named() -> None:
    assert "valid_until_ms of 1 offers looks like seconds (1764000000)" in cautions(
        {}, {"valid_until_ms": 1_764_000_000}
    )
    assert "valid_from_ms of 1 offers looks like seconds" in cautions({"valid_from_ms": 1_764_000_000})
