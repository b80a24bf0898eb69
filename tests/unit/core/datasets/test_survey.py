"""What a training reads, before anything is encoded."""

import pytest

from stream_scorer.core.datasets.chunks import Views
from stream_scorer.core.datasets.survey import Survey, Surveyor, asked_of
from stream_scorer.core.features.stats import SpecOptions
from stream_scorer.core.messages import Offer
from stream_scorer.errors import UsageError
from tests.example_samples import chunk

CATALOG = [Offer(offer_id=name, features={"price": price, "size": 1.0}) for name, price in (("a", "1.5"), ("b", "2.5"))]
OPTIONS = (SpecOptions(count_min=1, id_count_min=1), SpecOptions(count_min=1, id_count_min=1))


def surveyed(*reads: str, rows_filled: int = 0) -> Survey:
    seen = Surveyor(CATALOG)
    offers = Views(["a", "x"], [{"price": "1.5"}, {"price": "3.5"}])
    seen.add(chunk(Views(["ann"], [{"age": 3.0}]), offers, [(0, 0, 1), (0, 0, 0), (0, 1, 0)]))
    return seen.specs(asked_of(reads), OPTIONS, rows_filled=rows_filled)[2]


def test_inputs_of_both_sides_are_stated() -> None:
    assert [one.name for one in surveyed().inputs] == ["customer_id", "offer_id", "offer.price", "offer.size"]


def test_cautions_name_side_and_feature() -> None:
    cautions = surveyed(rows_filled=2).cautions
    assert [caution.split(":")[0] for caution in cautions[:2]] == ["customer.age is always 3.0", "offer.price"]
    assert "1 of 3 labels are of offers that are not in the catalog, such as 'x'" in cautions
    assert any("2 of 3 labels state no features" in caution for caution in cautions)
    assert any("which the catalog has" in caution and caution.endswith(": size") for caution in cautions)


def test_asking_silences_the_caution() -> None:
    assert not [caution for caution in surveyed("offer.price=number").cautions if caution.startswith("offer.price")]


def test_absent_features_are_refused_by_name() -> None:
    with pytest.raises(UsageError, match=r"no such feature of offers, only .'price', 'size'"):
        surveyed("offer.prize=off")


@pytest.mark.parametrize("word", ["price=number", "offer.price", "offer.=off", "item.price=off", "offer.price=text"])
def test_a_reading_of_another_form_is_refused(word: str) -> None:
    with pytest.raises(UsageError, match=r"must be customer.NAME=KIND or offer.NAME=KIND"):
        asked_of([word])
