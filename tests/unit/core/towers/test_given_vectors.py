"""Vectors that were made elsewhere serve as towers."""

import numpy as np
import pytest

from stream_scorer.core.features.spec import Bag, Category, FeatureSpec, Vector
from stream_scorer.core.towers.given_vectors import (
    GivenTower,
    GivenVectors,
    brought,
    customer_lookup,
    for_dot_products,
    offer_lookup,
    padded,
)
from stream_scorer.core.towers.model import model_of_towers
from stream_scorer.core.towers.stored_towers import tower_from
from stream_scorer.core.towers.tower import Layer, Tower
from stream_scorer.errors import BadModel

OFFERS = GivenVectors(("x", "y"), np.array([[3.0, 4.0], [0.0, -2.0]]))
CUSTOMERS = GivenVectors(("ann", "bob"), np.array([[5.0, 0.0], [0.0, 0.1]]))


def test_vectors_come_back_at_length_one() -> None:
    assert np.allclose(offer_lookup(OFFERS).embed([{}, {}], ["y", "x"]).vectors, [[0.0, -1.0], [0.6, 0.8]])
    assert np.allclose(customer_lookup(CUSTOMERS).embed([{}, {}], ["ann", "bob"]).vectors, [[1.0, 0.0], [0.0, 1.0]])


def test_an_unknown_customer_is_the_average() -> None:
    assert np.allclose(customer_lookup(CUSTOMERS).embed([{}], ["new"]).vectors, [[0.5**0.5, 0.5**0.5]])


def test_an_unknown_offer_has_zero_vector() -> None:
    assert not offer_lookup(OFFERS).embed([{}], ["new"]).vectors.any()


def test_a_request_may_carry_its_vector() -> None:
    tower = brought(2, feature="taste")
    made = tower.embed([{"taste": [0.0, 9.0]}, {}, {"taste": [1.0]}], ["ann", "bob", "cat"])
    assert made.vectors.tolist() == [[0.0, 1.0], [0.0, 0.0], [0.0, 0.0]]
    assert [(error.index, error.code) for error in made.errors] == [(2, "feature_vector_length")]


def test_a_tower_serves_the_other_ids() -> None:
    made = GivenTower.of(CUSTOMERS, brought(2)).embed(
        [{"vector": "wrong"}, {"vector": [3.0, 4.0]}, {"vector": "wrong"}], ["ann", "new", "odd"]
    )
    assert made.vectors.tolist() == [[1.0, 0.0], [0.6, 0.8], [0.0, 0.0]]
    assert [error.index for error in made.errors] == [2]


@pytest.mark.parametrize("slots", [(), (Bag("likes", ("a", "b")), Category("plan", ("free",), buckets=3))])
def test_encoded_inputs_tell_whose_vector_was_given(slots: tuple[Bag | Category, ...]) -> None:
    spec = FeatureSpec("customer", (*slots, Vector("vector", (0.0, 0.0), (1.0, 1.0))))
    rng, width = np.random.default_rng(0), 2 + 2 * bool(slots)
    rest = Tower(spec, rng.normal(size=(spec.table_rows, 2)), "sum", (Layer(rng.normal(size=(2, width)), np.zeros(2)),))
    tower = GivenTower.of(CUSTOMERS, rest)
    features = [{"vector": [3.0, 4.0], "likes": ["a", "b"][:number], "plan": "other"} for number in range(3)]
    ids = ["new", "bob", "newer"]
    made = tower.forward(tower.spec.encode(features, ids))
    assert np.array_equal(made, tower.embed(features, ids).vectors)
    assert np.array_equal(made[[0, 2]], rest.embed(features, ids).vectors[[0, 2]])
    assert made[1].tolist() == [0.0, 1.0]


def test_given_vectors_must_fit_the_tower() -> None:
    with pytest.raises(BadModel, match="the vectors have 2 numbers, the tower for the rest gives 3"):
        GivenTower.of(CUSTOMERS, brought(3))


@pytest.mark.parametrize("tower", [brought(2), customer_lookup(CUSTOMERS), GivenTower.of(CUSTOMERS, brought(2))])
def test_towers_survive_being_stored(tower: Tower) -> None:
    again = tower_from(tower.structure(), tower.tensors())
    features, ids = [{"vector": [1.0, 2.0]}] * 2, ["ann", "new"]
    assert np.array_equal(again.embed(features, ids).vectors, tower.embed(features, ids).vectors)
    assert (type(again), again.dim) == (type(tower), tower.dim)


def test_towers_of_unequal_dimensions_are_refused() -> None:
    with pytest.raises(BadModel, match="customers' vectors have 3 numbers, offers' 2"):
        model_of_towers(brought(3), offer_lookup(OFFERS), {})


def test_an_id_twice_is_refused() -> None:
    with pytest.raises(BadModel, match="1 of 3 ids are there twice"):
        GivenVectors(("x", "y", "x"), np.ones((3, 2)))


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf])
def test_unusable_vectors_are_refused_by_id(bad: float) -> None:
    with pytest.raises(BadModel, match="1 of 2 vectors are zero or not finite; the first is of 'y'"):
        GivenVectors(("x", "y"), np.array([[1.0, 1.0], [bad, 0.0]]))


def test_no_vectors_are_refused() -> None:
    with pytest.raises(BadModel, match="expected vectors of one length for 0 ids"):
        GivenVectors((), np.zeros((0, 2)))


def test_padding_keeps_dot_product_order() -> None:
    rng = np.random.default_rng(0)
    offers = GivenVectors(tuple(f"o{row}" for row in range(50)), rng.normal(size=(50, 4)) * rng.random((50, 1)) * 9)
    customers = GivenVectors(tuple(f"c{row}" for row in range(20)), rng.normal(size=(20, 4)))
    items = offer_lookup(for_dot_products(offers)).embed([{}] * 50, offers.ids).vectors
    users = customer_lookup(padded(customers)).embed([{}] * 20, customers.ids).vectors
    right = np.argsort(-customers.vectors @ offers.vectors.T, axis=1)
    assert np.array_equal(np.argsort(-users @ items.T, axis=1), right)
    assert np.allclose(np.linalg.norm(items, axis=1), 1.0)


def test_a_carried_vector_is_padded() -> None:
    tower = brought(2, padded=True)
    assert tower.embed([{"vector": [3.0, 4.0]}], ["ann"]).vectors.tolist() == [[0.6, 0.8, 0.0]]


def test_unit_vectors_need_no_padding() -> None:
    assert GivenVectors(("x", "y"), np.array([[0.6, 0.8], [0.0, -1.0]])).unit
    assert not OFFERS.unit
