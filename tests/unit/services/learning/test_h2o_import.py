"""Models of two networks of H2O."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from stream_scorer.core.towers.h2o_network import H2oCategory
from stream_scorer.errors import BadModel, UsageError
from stream_scorer.services.learning.h2o_import import model_of
from tests.h2o_samples import dead, deep_features, network

ITEM = replace(
    network(seed=1), categories=(H2oCategory("offer", ("x", "y", "z")), H2oCategory("colour", ("blue", "red")))
)


def test_vectors_are_normalised_hidden_layers() -> None:
    user = network(activation="Tanh")
    model = model_of(user, replace(ITEM, activation="Tanh"))
    made = model.user_tower.embed([{"colour": "red", "price": 1.0}], ["bob"]).vectors[0]
    expected = np.array(deep_features(user, {"colour": "red", "price": 1.0}, "bob"))
    assert np.allclose(made, expected / np.linalg.norm(expected), rtol=0, atol=1e-12)


def test_offers_are_told_apart_by_their_id() -> None:
    vectors = model_of(network(), replace(ITEM, activation="Tanh")).item_tower.embed([{}, {}], ["x", "y"]).vectors
    assert not np.array_equal(vectors[0], vectors[1])


def test_facts_state_what_missing_numbers_count_as() -> None:
    facts: dict[str, Any] = model_of(network(), replace(ITEM, norm_mul=(), norm_sub=()), defaults={"score": 0.75}).facts
    assert facts["defaults"] == {
        "user_tower": {"price": 2.0, "score": 0.75},
        "item_tower": {"price": 0.0, "score": 0.75},
    }


def test_a_default_that_neither_reads_is_refused() -> None:
    with pytest.raises(UsageError, match="neither tower reads a number named rank"):
        model_of(network(), ITEM, defaults={"rank": 1.0})


def test_towers_of_unequal_dimensions_are_refused() -> None:
    with pytest.raises(BadModel, match="the user tower gives 4 numbers, the item tower 3"):
        model_of(network(units=4), ITEM)


def test_a_dead_tower_is_refused_by_name() -> None:
    with pytest.raises(BadModel, match="the item tower is dead"):
        model_of(network(), dead(ITEM))
