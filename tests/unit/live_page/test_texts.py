"""Figures as people read them."""

import pytest

from stream_scorer.live_page import texts
from stream_scorer.live_page.shown import Shown, cause_and_cure, plain_feature
from stream_scorer.live_page.texts import UNKNOWN


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0312, "31 ms"),
        (1.25, "1.2 s"),
        (42, "42 s"),
        (150, "2 min"),
        (9_000, "2 h"),
        (400_000, "5 d"),
        (None, UNKNOWN),
    ],
)
def test_durations_have_the_unit_that_suits(seconds: float | None, text: str) -> None:
    assert texts.duration(seconds) == text


def test_rates_have_digits_where_they_are_small() -> None:
    assert [texts.rate(each) for each in (0.25, 9.96, 1234.5, None)] == ["0.2", "10.0", "1,234", UNKNOWN]


def test_what_is_added_has_its_sign() -> None:
    assert [texts.signed(each) for each in (0.5, -0.25, float("nan"))] == [
        "+0.500",
        "\N{MINUS SIGN}0.250",
        UNKNOWN,
    ]


def test_times_beyond_the_calendar_stay_numbers() -> None:
    assert [texts.time_at(each) for each in (0, 10**18, None)] == [
        "1970-01-01 00:00:00 UTC",
        f"{10**18} ms",
        UNKNOWN,
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.5, "1.5"), (True, "true"), ([0.1] * 8, "a vector of 8 numbers"), (["a", "b"], "a, b"), ([], "empty")],
)
def test_features_are_short_text(value: object, text: str) -> None:
    assert plain_feature(value) == text
    assert len(plain_feature("x" * 500)) == 60


def test_an_offers_name_is_text() -> None:
    assert Shown(True, None, 1).offer({"title": "Tea", "name": 3}) == "Tea"
    assert Shown(True, "label", 1).offer({"name": "Tea"}) == ""


def test_codes_have_their_cause_and_cure() -> None:
    assert all(cause_and_cure("feature_kind"))
    assert cause_and_cure("strange") == ("", "")
    assert Shown(False, None, 1).letter_value(None) == "no value: a tombstone"
