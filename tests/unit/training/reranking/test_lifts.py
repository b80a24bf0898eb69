"""Lifts shrink to nothing where a cross says nothing, and say what it says where it does."""

import numpy as np
import pytest

from stream_scorer.core.datasets.chunks import Views
from stream_scorer.core.datasets.training_set import side_of
from stream_scorer.core.features.spec import FeatureSpec, Number
from stream_scorer.core.reranking.crosses import NOBODY
from stream_scorer.training.reranking.lifts import (
    CountedRows,
    coding_of,
    counted_bags,
    crosses_of,
    differences_of,
    matches_of,
    names_of_crosses,
    strengths_of,
)
from tests import reranking_samples as samples
from tests.prepared_samples import prepared_pairs

CUSTOMERS, OFFERS = samples.pair_inputs().customers, samples.pair_inputs().offers
BUDGET_PRICE = [(1, 1)]


def evidence(lift: float, *, catalog: bool = False) -> CountedRows:
    """Return 4,000 rows; those of a low budget and a low price are accepted `lift` times as often."""
    rng = np.random.default_rng(0)
    mine, theirs = rng.integers(1, 3, (4_000, 2)), rng.integers(1, 3, (4_000, 2))
    chance = 0.2 * np.where((mine[:, 1] == 1) & (theirs[:, 1] == 1), lift, 1.0)
    accepted = (rng.random(4_000) < chance).astype(np.float64)
    if not catalog:
        return CountedRows(mine, theirs, accepted, np.zeros(4_000, np.int64), None)
    taken = accepted == 1
    places = np.zeros(int(taken.sum()), np.int64)
    return CountedRows(mine[taken], theirs[taken], np.ones(len(places)), places, theirs[:50])


def lifts(lift: float, *, catalog: bool = False) -> np.ndarray:
    found = evidence(lift, catalog=catalog)
    strengths = strengths_of(found, BUDGET_PRICE, CUSTOMERS, OFFERS)
    return crosses_of(found, BUDGET_PRICE, strengths, CUSTOMERS, OFFERS)[0].values.reshape(4, 3)


def test_a_cross_without_meaning_says_nothing() -> None:
    assert np.abs(lifts(1.0)).max() < 0.02


def test_a_cross_with_meaning_is_counted() -> None:
    found = lifts(3.0)
    assert found[1, 1] > 0.05
    assert found[1, 2] < -0.05


def test_acceptances_alone_are_counted_against_independence() -> None:
    found = lifts(3.0, catalog=True)
    assert found[1, 1] > 0.05
    assert found[1, 2] < -0.05


def test_names_begin_with_the_offers_own() -> None:
    names = names_of_crosses(CUSTOMERS, OFFERS)
    assert names[:2] == [(NOBODY, 0), (NOBODY, 1)]
    assert (1, 1) in names


def test_bags_of_the_same_values_match() -> None:
    matches = matches_of(samples.CUSTOMERS, OFFERS)
    assert [(match.customer, match.offer, match.codes.tolist()) for match in matches] == [(1, 0, [-1, 2, 1, -1])]


@pytest.mark.parametrize(("taken", "counted"), [(["jazz", "jazz"], {1}), (["jazz", "rock"], set())])
def test_bags_with_repeats_are_counted(taken: list[str], counted: set[int]) -> None:
    spec = samples.CUSTOMERS
    side, _ = side_of(spec, Views(["c1", "c2"], [{"taken": taken}, {"taken": ["never met", "nor this"]}]))
    assert counted_bags(spec, side) == counted
    assert [match.counted for match in matches_of(spec, OFFERS, counted)] == [bool(counted)]


def test_numbers_are_cut_between_their_values() -> None:
    pairs = prepared_pairs().pairs
    coding = coding_of(samples.OFFERS, pairs.offers, np.arange(40, dtype=np.int32))
    values = pairs.offers.numbers[:, 0].astype(np.float64)
    assert len(coding.cuts[0]) == 15
    assert not np.isin(coding.cuts[0], values).any()


def test_numbers_of_one_kind_are_subtracted() -> None:
    found = differences_of(samples.CUSTOMERS, samples.OFFERS)
    assert [(one.customer, one.offer, one.mine, one.theirs, one.shift) for one in found] == [(0, 0, 0.5, -0.5, 0.0)]


def test_numbers_of_other_ranges_are_not_subtracted() -> None:
    far = FeatureSpec(
        "offer", (Number("year", mean=1990.0, scale=0.1), Number("price", mean=10.0, scale=0.1, log=True))
    )
    assert differences_of(samples.CUSTOMERS, far) == ()
