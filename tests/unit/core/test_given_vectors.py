"""Vectors that were made elsewhere serve as towers."""

import numpy as np
import pytest

from stream_scorer.core.given_vectors import GivenVectors, model_of_vectors
from stream_scorer.core.tower import Tower
from stream_scorer.errors import BadModel

OFFERS = GivenVectors(("x", "y"), np.array([[3.0, 4.0], [0.0, -2.0]]))
CUSTOMERS = GivenVectors(("ann", "bob"), np.array([[5.0, 0.0], [0.0, 0.1]]))


def test_vectors_come_back_at_length_one() -> None:
    model = model_of_vectors(OFFERS, CUSTOMERS)
    assert np.allclose(model.item_tower.embed([{}, {}], ["y", "x"]).vectors, [[0.0, -1.0], [0.6, 0.8]])
    assert np.allclose(model.user_tower.embed([{}, {}], ["ann", "bob"]).vectors, [[1.0, 0.0], [0.0, 1.0]])


def test_a_customer_without_a_vector_is_an_average_one() -> None:
    assert np.allclose(model_of_vectors(OFFERS, CUSTOMERS).user_tower.embed([{}], ["new"]).vectors, [[0.5**0.5, 0.5**0.5]])


def test_an_offer_without_a_vector_has_a_zero_one() -> None:
    assert not model_of_vectors(OFFERS, CUSTOMERS).item_tower.embed([{}], ["new"]).vectors.any()


def test_without_customers_vectors_a_request_brings_its_own() -> None:
    tower = model_of_vectors(OFFERS, None, feature="taste").user_tower
    made = tower.embed([{"taste": [0.0, 9.0]}, {}, {"taste": [1.0]}], ["ann", "bob", "cat"])
    assert made.vectors.tolist() == [[0.0, 1.0], [0.0, 0.0], [0.0, 0.0]]
    assert [(error.index, error.code) for error in made.errors] == [(2, "feature_vector_length")]


@pytest.mark.parametrize("customers", [CUSTOMERS, None])
def test_the_towers_survive_being_written(customers: GivenVectors | None) -> None:
    tower = model_of_vectors(OFFERS, customers).user_tower
    again = Tower.from_tensors(tower.structure(), tower.tensors())
    features, ids = [{"vector": [1.0, 2.0]}], ["ann"]
    assert np.array_equal(again.embed(features, ids).vectors, tower.embed(features, ids).vectors)


def test_vectors_of_unequal_dimensions_are_refused() -> None:
    wide = GivenVectors(("ann",), np.ones((1, 3)))
    with pytest.raises(BadModel, match="customers' vectors have 3 numbers, offers' 2"):
        model_of_vectors(OFFERS, wide)


def test_an_id_twice_is_refused() -> None:
    with pytest.raises(BadModel, match="1 of 3 ids are there twice"):
        GivenVectors(("x", "y", "x"), np.ones((3, 2)))


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf])
def test_zero_and_not_finite_vectors_are_refused_by_id(bad: float) -> None:
    with pytest.raises(BadModel, match="1 of 2 vectors are zero or not finite; the first is of 'y'"):
        GivenVectors(("x", "y"), np.array([[1.0, 1.0], [bad, 0.0]]))


def test_no_vectors_are_refused() -> None:
    with pytest.raises(BadModel, match="expected vectors of one length for 0 ids"):
        GivenVectors((), np.zeros((0, 2)))
