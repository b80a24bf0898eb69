"""Pairs as columns: the towers' score and rank, crosses of codes, and matches."""

from dataclasses import replace

import numpy as np
import pytest

from stream_scorer.core.features.spec import Category, FeatureSpec, Number
from stream_scorer.core.reranking.coding import Coding, plain_spec
from stream_scorer.core.reranking.crosses import Cross, Difference, Match
from stream_scorer.core.towers.reranker import OfferSide
from stream_scorer.errors import BadModel
from tests import reranking_samples as samples


def columns() -> np.ndarray:
    inputs = samples.pair_inputs()
    customers = samples.CUSTOMERS.encode(samples.CUSTOMER_ROWS, samples.CUSTOMER_IDS)
    offers = samples.OFFERS.encode(samples.OFFER_ROWS, samples.OFFER_IDS)
    return inputs.columns(customers, OfferSide(inputs.offer_arrays(offers)), samples.shortlisted())


def test_codes_count_missing_and_unseen_as_zero() -> None:
    coding = samples.pair_inputs().customers
    encoded = samples.CUSTOMERS.encode(samples.CUSTOMER_ROWS, samples.CUSTOMER_IDS)
    assert coding.codes(encoded).tolist() == [[1, 3], [2, 1], [0, 0]]
    assert coding.heights == (3, 4)


def test_score_and_rank_come_first() -> None:
    pairs = samples.shortlisted()
    assert columns()[:, 0].tolist() == pairs.score.tolist()
    np.testing.assert_allclose(columns()[:, 1], np.log1p(pairs.rank))


def test_unread_ranks_are_zero_for_all() -> None:
    inputs = replace(samples.pair_inputs(), reads_rank=False)
    encoded = samples.CUSTOMERS.encode(samples.CUSTOMER_ROWS, samples.CUSTOMER_IDS)
    side = OfferSide(inputs.offer_arrays(samples.OFFERS.encode(samples.OFFER_ROWS, samples.OFFER_IDS)))
    assert not inputs.columns(encoded, side, samples.shortlisted())[:, 1].any()


def test_an_offer_alone_is_looked_up() -> None:
    assert columns()[:, 2].tolist() == [0.5, -0.5, 0.0] * 3  # jazz, rock, missing


def test_pairs_without_a_key_are_zero() -> None:
    # c1 with rock is key 1 * 3 + 1, with jazz 5
    assert columns()[:, 3].reshape(3, 3).tolist() == [[1.0, 0.25, 0.0], [0.0] * 3, [0.0] * 3]


def test_bins_of_two_numbers_are_crossed() -> None:
    table = np.linspace(-1.0, 1.0, 12).reshape(4, 3)
    # budgets 30, 5 and none are bins 3, 1, 0; prices 25, 4 and the mean are bins 2, 1, 1
    np.testing.assert_array_equal(columns()[:, 4].reshape(3, 3), table[np.ix_([3, 1, 0], [2, 1, 1])])


def test_counted_matches_say_how_often() -> None:
    inputs = samples.pair_inputs()
    inputs = replace(inputs, matches=(replace(inputs.matches[0], counted=True),))
    rows = [{"taken": ["jazz", "rock", "jazz"]}, {"taken": ["folk", "folk"]}, {}]
    encoded = samples.CUSTOMERS.encode(rows, samples.CUSTOMER_IDS)
    side = OfferSide(inputs.offer_arrays(samples.OFFERS.encode(samples.OFFER_ROWS, samples.OFFER_IDS)))
    found = inputs.columns(encoded, side, samples.shortlisted())[:, 5].reshape(3, 3)
    np.testing.assert_allclose(found, np.log1p([[2, 1, 0], [0, 0, 0], [0, 0, 0]]))
    assert inputs.counts[-1] == "genre times in taken"


def test_offers_match_what_the_bag_names() -> None:
    assert columns()[:, 5].reshape(3, 3).tolist() == [[1.0, 0.0, 0.0], [0.0] * 3, [0.0] * 3]


def test_numbers_of_both_sides_are_compared() -> None:
    # budgets 30, 5 and none are 2, -0.5 and 0 as encoded; prices 25, 4 and none are 1.5, -0.6 and 0
    expected = np.subtract.outer([2.0, -0.5, 0.0], [1.5, -0.6, 0.0]) / 2
    np.testing.assert_allclose(columns()[:, 6].reshape(3, 3), expected, atol=1e-12)


def test_columns_have_names_in_words() -> None:
    names = samples.pair_inputs().names
    assert names[2:6] == ("genre", "customer_id x genre", "budget x price", "genre in taken")
    assert names[6] == "budget - price"
    assert len(names) == samples.pair_inputs().width


def test_plain_specs_have_no_hashed_rows() -> None:
    colour, price = Category("colour", ("red",), buckets=64), Number("price", knots=(0.0, 1.0, 2.0))
    spec = plain_spec(FeatureSpec("offer", (colour, price)))
    assert (spec.table_rows, spec.numbers) == (2, 3)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        ({"crosses": (Cross(7, 0, 3, samples.NONE, np.zeros(9)),)}, "no codes"),
        ({"crosses": (Cross(0, 0, 2, samples.NONE, np.zeros(6)),)}, "over 2 codes"),
        ({"crosses": (Cross(0, 0, 3, samples.NONE, np.zeros(8)),)}, "9 finite values"),
        ({"crosses": (Cross(0, 0, 3, np.array([2, 1]), np.zeros(2)),)}, "must rise"),
        ({"crosses": (Cross(0, 0, 3, samples.NONE, np.zeros(9)),) * 65}, "at most 64"),
        ({"differences": (Difference(2, 0, 1.0, 1.0, 0.0),)}, "numbers .2, 0. that"),
        ({"differences": (Difference(0, 0, float("nan"), 1.0, 0.0),)}, "factors"),
        ({"differences": (Difference(0, 0, 1.0, 1.0, float("nan")),)}, "factors"),
        ({"matches": (Match(9, 0, np.zeros(1, np.int64)),)}, "not there"),
        ({"matches": (Match(1, 0, np.zeros(9, np.int64)),)}, "needs 4 codes"),
        ({"matches": (Match(1, 0, np.array([0, 1, 2, 3])),)}, "does not have"),
    ],
)
def test_unfit_parts_are_refused(damage: dict[str, object], sentence: str) -> None:
    with pytest.raises(BadModel, match=sentence):
        replace(samples.pair_inputs(), **damage)  # type: ignore[arg-type]


@pytest.mark.parametrize("cuts", [(), ((1.0, 1.0),), ((float("nan"),),)])
def test_unfit_cuts_are_refused(cuts: tuple[tuple[float, ...], ...]) -> None:
    with pytest.raises(BadModel, match="cuts"):
        Coding(samples.CUSTOMERS, cuts)


def test_hashed_rows_are_refused() -> None:
    with pytest.raises(BadModel, match="hashed"):
        Coding(FeatureSpec("offer", (Category("colour", ("red",), buckets=64),)), ())
