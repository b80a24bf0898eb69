"""Inputs in words."""

import pytest

from stream_scorer.core.features.spec import Bag, Category, Input, Number, Vector
from stream_scorer.core.features.stated_inputs import stated


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (
            Number("x", clip=8.0, indicator=True),
            "number, 3 values, 25 % missing; standardised, clipped at ±8, missing has a column",
        ),
        (Number("x", reading="date"), "date, 3 values, 25 % missing; days since 1970, standardised"),
        (Number("x", log=True, sentinels=(-999.0,)), "; logarithm, standardised, -999 read as missing"),
        (Number("x", reading="text"), "number in text"),
        (Vector("x", (0.0,) * 4, (1.0,) * 4), "vector of 4"),
        (
            Category("x", ("a", "b"), buckets=4),
            "text, 3 values, 25 % missing; embedded, 2 rows and 4 that the others share",
        ),
        (Category("x", ("1",), whole=True), "code"),
        (Category("x", (False, True)), "bool"),
        (Category("x", ("a",), from_id=True), "id"),
        (Bag("x", ("a",)), "list of texts"),
    ],
)
def test_an_input_is_described_in_words(one: Input, words: str) -> None:
    assert words in stated(one, "offer.x", missing=0.25, distinct=3).line()


def test_a_line_leaves_out_what_is_nothing() -> None:
    assert (
        stated(Number("x"), "offer.x", missing=0.0, distinct=None).line()
        == "offer.x: number, many values; standardised"
    )
    assert "1 value, under 0.1 % missing" in stated(Number("x"), "offer.x", missing=1e-5, distinct=1).line()
