"""How a feature is read by its values, and what is said of it."""

from collections.abc import Mapping

import pytest

from stream_scorer.core.features.diagnosis import ColumnFacts, Decided, Evidence, ReadAs, decide
from stream_scorer.errors import UsageError


def of_texts(texts: Mapping[str, int], asked: ReadAs | None = None, name: str = "offer.x") -> Decided:
    return decide(ColumnFacts(name, "string", sum(texts.values()), 0, texts=texts), asked, Evidence())


def of_numbers(
    numbers: Mapping[float, int],
    odd: Mapping[float, int] | None = None,
    *,
    asked: ReadAs | None = None,
    evidence: Evidence | None = None,
    name: str = "offer.x",
) -> Decided:
    """Decide on usual numbers and on those that may be sentinels."""
    odd, every = odd or {}, {**numbers, **(odd or {})}
    column = ColumnFacts(
        name, "number", sum(every.values()), 0, numbers=every, odd=odd, low=min(numbers), high=max(numbers)
    )
    return decide(column, asked, evidence or Evidence())


PRICES = {2.5 + step: 3 for step in range(30)}
LEVELS = {float(level): 40 for level in range(1, 9)}


def test_texts_that_all_are_numbers_are_numbers() -> None:
    decided = of_texts({"1.5": 2, "20": 1, "NA": 1})
    assert (decided.kind, decided.reading) == ("number", "text")
    assert "its texts are numbers (such as '1.5')" in decided.cautions[0]


def test_few_whole_numbers_in_text_stay_categories() -> None:
    decided = of_texts({"1": 9, "2": 9, "3": 9})
    assert decided.kind == "string"
    assert "taken as codes" in decided.cautions[0]


def test_iso_dates_are_numbers_of_days() -> None:
    decided = of_texts({"2024-05-31": 1, "2024-06-01": 1})
    assert (decided.kind, decided.reading) == ("number", "date")


@pytest.mark.parametrize(
    ("texts", "sentence"),
    [
        ({"1.5": 50, "2.5": 49, "unknown": 1}, "99% of its texts are numbers, but not all, such as 'unknown'"),
        ({"2024-05-31": 60, "2024-06-01": 39, "soon": 1}, "99% of its texts are ISO dates"),
        ({"31.12.2024": 1, "01.01.2025": 1}, "look like dates"),
    ],
)
def test_nearly_numbers_and_dates_are_cautioned_about(texts: Mapping[str, int], sentence: str) -> None:
    decided = of_texts(texts)
    assert decided.kind == "string"
    assert sentence in decided.cautions[0]


@pytest.mark.parametrize(
    "texts", [{"red": 3, "blue": 4}, {"1.5": 5, "red": 5}, {"NA": 4, "red": 1}, {"007": 2, "12": 3}]
)
def test_plain_texts_are_categories_without_caution(texts: Mapping[str, int]) -> None:
    assert of_texts(texts) == Decided("string")


@pytest.mark.parametrize("value", [-1.0, -9.0, -999.0, 999.0, 9999.0])
def test_a_value_far_off_stands_for_missing(value: float) -> None:
    decided = of_numbers(PRICES, {value: 1})
    assert decided.sentinels == (value,)
    assert f"{value:g} (1 of 91) stands for a missing value" in decided.cautions[0]


@pytest.mark.parametrize(
    ("numbers", "odd"),
    [
        (PRICES, {99.0: 1}),  # three times the highest: a price like others
        ({float(step): 5 for step in range(-20, 40)}, {-1.0: 5}),  # a temperature
        ({0.0: 50, 1.0: 50}, {-1.0: 50}),  # a mood
        ({20.0 + step: 5 for step in range(150)}, {99.0: 5}),
        ({2.5 + step: 1 for step in range(9)}, {-999.0: 3}),  # too few others to show what is usual
    ],
)
def test_values_among_the_others_are_numbers(numbers: Mapping[float, int], odd: Mapping[float, int]) -> None:
    assert of_numbers(numbers, odd).sentinels == ()


def test_far_negatives_beside_few_levels_are_sentinels() -> None:
    assert of_numbers({0.0: 50, 600.0: 50}, {-999.0: 5}).sentinels == (-999.0,)


def test_sentinels_are_no_levels_of_codes() -> None:
    assert of_numbers({0.0: 50, 1.0: 50}, {-999.0: 5}, name="offer.genre_code").kind == "number"


def test_a_doubtful_sentinel_is_only_said() -> None:
    decided = of_numbers({10.0 + step: 9 for step in range(300)}, {999.0: 1})
    assert decided.sentinels == ()
    assert "does 999 stand for a missing value?" in decided.cautions[0]


def test_codes_are_known_by_their_name() -> None:
    for name in ("offer.genre_code", "customer.zip", "offer.category", "offer.shop id"):
        assert of_numbers(LEVELS, name=name).kind == "codes"
    for name in ("offer.rating", "customer.paid", "offer.decoded", "customer.middle"):
        assert of_numbers(LEVELS, name=name) == Decided("number")


def test_codes_are_known_by_their_acceptances() -> None:
    assert of_numbers(LEVELS, evidence=Evidence(disorder=6.0)).kind == "codes"
    unsure = of_numbers(LEVELS, evidence=Evidence(disorder=4.0))
    assert unsure.kind == "number"
    assert "may be codes" in unsure.cautions[0]


def test_what_is_asked_is_done_without_caution() -> None:
    assert of_numbers(PRICES, {-1.0: 1}, asked="number") == Decided("number")
    assert of_numbers(LEVELS, asked="category") == Decided("codes")
    assert of_texts({"1.5": 1, "2": 1}, "category") == Decided("string")
    assert of_texts({"1": 1, "2": 1}, "number") == Decided("number", "text")
    assert of_texts({"a": 1, "b": 1}, "off") == Decided(None)


def test_unreadable_readings_are_refused() -> None:
    with pytest.raises(UsageError, match=r"--read offer.x=number: 'a' is no number"):
        of_texts({"1": 1, "a": 1}, "number")
    with pytest.raises(UsageError, match="must be whole numbers"):
        of_numbers(PRICES, asked="category")
    with pytest.raises(UsageError, match="its values are of kind bool"):
        decide(ColumnFacts("offer.x", "bool", 2, 0), "number", Evidence())


def test_constants_and_missing_columns_are_said() -> None:
    assert of_texts({"here": 5}).cautions == ("offer.x is always 'here': left out",)
    assert decide(ColumnFacts("offer.x", "null", 5, 5), None, Evidence()) == Decided(
        None, cautions=("offer.x is always missing: left out",)
    )


def test_a_feature_that_separates_labels_is_said() -> None:
    assert "alone separates accepted rows" in of_numbers(PRICES, evidence=Evidence(auc=0.99)).cautions[0]
    assert of_numbers(PRICES, evidence=Evidence(auc=0.97)).cautions == ()
