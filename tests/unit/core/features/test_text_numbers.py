"""Texts that mean numbers or dates."""

import math

import pytest

from stream_scorer.core.features.text_numbers import days_in, looks_like_a_local_date, number_in


@pytest.mark.parametrize(("text", "number"), [("12.5", 12.5), (" -3 ", -3.0), ("1e3", 1000.0), (".5", 0.5), ("0", 0.0)])
def test_texts_of_numbers_are_read(text: str, number: float) -> None:
    assert number_in(text) == number


@pytest.mark.parametrize("text", ["", "NA", "null", " nan "])
def test_null_words_are_missing_numbers(text: str) -> None:
    assert math.isnan(number_in(text) or 0.0)
    assert math.isnan(days_in(text) or 0.0)


@pytest.mark.parametrize("text", ["007", "1,5", "12 €", "1e999", "1234567890123456", "0x10", "inf", "¹", "-", "1_000"])
def test_what_may_be_a_code_stays_text(text: str) -> None:
    assert number_in(text) is None


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("1970-01-02", 1.0),
        ("1970-01-01T12:00", 0.5),
        ("1970-01-01 12:00:00Z", 0.5),
        ("1970-01-01T13:00:00.000+01:00", 0.5),
        ("1969-12-31", -1.0),
    ],
)
def test_iso_dates_are_days_since_1970(text: str, days: float) -> None:
    assert days_in(text) == days


@pytest.mark.parametrize("text", ["2024-02-30", "20240101", "2024-W01-1", "31.12.2024", "2024-1-1", "12:00"])
def test_what_is_no_iso_date_stays_text(text: str) -> None:
    assert days_in(text) is None


@pytest.mark.parametrize(
    ("text", "looks"), [("31.12.2024", True), ("1/2/24", True), ("1.2/2024", False), ("1.5", False)]
)
def test_dates_of_unknown_order_are_recognised(text: str, looks: bool) -> None:
    assert looks_like_a_local_date(text) is looks
