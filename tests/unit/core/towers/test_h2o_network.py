"""Towers of H2O's networks: its formula, term by term, and what cannot be reproduced."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from stream_scorer.core.features.spec import Floats
from stream_scorer.core.towers.h2o_network import (
    H2oCategory,
    H2oNetwork,
    check_not_dead,
    defaults_of,
    probes,
    tower_of,
    with_defaults,
)
from stream_scorer.core.towers.tower import Tower
from stream_scorer.errors import BadModel
from tests.h2o_samples import ACTIVATIONS, ID, ROWS, dead, deep_features, network

DIFFERENCE_MAX = 1e-12


def tower(net: H2oNetwork, layer: int = 0) -> Tower:
    return tower_of(net, side="customer", ids=(ID,), layer=layer)


def outputs(made: Tower, rows: list[tuple[dict[str, Any], str]]) -> Floats:
    return made.outputs(made.spec.encode([features for features, _ in rows], [identity for _, identity in rows]))


def difference(net: H2oNetwork, made: Tower, layer: int = 0) -> float:
    expected = [deep_features(net, features, identity, layer=layer) for features, identity in ROWS]
    return float(np.abs(outputs(made, ROWS) - np.array(expected)).max())


@pytest.mark.parametrize("standardised", [True, False])
@pytest.mark.parametrize("use_all", [True, False])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_outputs_are_those_of_h2os_formula(activation: str, use_all: bool, standardised: bool) -> None:
    net = network(activation=activation, use_all=use_all, standardised=standardised)
    assert difference(net, tower(net)) < DIFFERENCE_MAX
    assert difference(net, tower(net, layer=1), layer=1) < DIFFERENCE_MAX


def test_the_slot_of_missing_values_matters() -> None:
    net = network()
    table = tower(net).table.copy()
    table[list(tower(net).spec.first_rows[:-1])] = 0.0
    assert difference(net, replace(tower(net), table=table)) > 0.1


def test_channels_of_maxout_alternate() -> None:
    net = network(activation="Maxout")
    stacked = replace(net, weights=tuple(np.concatenate([one[::2], one[1::2]]) for one in net.weights))
    assert difference(net, tower(stacked)) > 0.1


def test_numbers_alone_need_no_table() -> None:
    net = network()
    bare = replace(net, categories=(), offsets=(0,), weights=(net.weights[0][:, -2:], net.weights[1]))
    assert difference(bare, tower(bare)) < DIFFERENCE_MAX


def test_categories_alone_read_no_numbers() -> None:
    net = network()
    bare = replace(net, numbers=(), norm_mul=(), norm_sub=(), weights=(net.weights[0][:, :-2], net.weights[1]))
    assert difference(bare, tower(bare)) < DIFFERENCE_MAX


def test_missing_and_unseen_values_are_allowed() -> None:
    assert tower(network()).embed([features for features, _ in ROWS], [identity for _, identity in ROWS]).errors == ()


def test_levels_true_and_false_are_bools() -> None:
    net = network()
    bools = replace(net, categories=(net.categories[0], H2oCategory("colour", ("False", "True"))))
    rows: list[tuple[dict[str, Any], str]] = [({"colour": False}, "ann"), ({"colour": True}, "ann")]
    texts: list[tuple[dict[str, Any], str]] = [({"colour": "blue"}, "ann"), ({"colour": "red"}, "ann")]
    assert np.array_equal(outputs(tower(bools), rows), outputs(tower(net), texts))


@pytest.mark.parametrize("name", ["price", "score"])
@pytest.mark.parametrize("standardised", [True, False])
def test_a_missing_number_counts_as_default(standardised: bool, name: str) -> None:
    plain = tower(network(standardised=standardised))
    made = with_defaults(plain, {name: 7.0})
    without, stated = [({"colour": "red"}, "ann")], [({"colour": "red", name: 7.0}, "ann")]
    assert np.allclose(outputs(made, without), outputs(plain, stated), rtol=0, atol=DIFFERENCE_MAX)
    assert np.allclose(outputs(made, stated), outputs(plain, stated), rtol=0, atol=DIFFERENCE_MAX)
    assert defaults_of(made)[name] == 7.0


def test_a_default_for_nothing_is_refused() -> None:
    with pytest.raises(BadModel, match="reads no number named colour"):
        with_defaults(tower(network()), {"colour": 1.0})


def test_a_dead_tower_is_refused() -> None:
    made = tower(dead(network()))
    with pytest.raises(BadModel, match="the user tower is dead: all of 10 vectors are zero"):
        check_not_dead("user tower", made, *probes(made))


def test_probes_try_every_level_and_number() -> None:
    features, ids = probes(tower(network()))
    assert set(ids) == {"\x00missing", "ann", "bob", "cat"}
    assert [row for row in features if row] == [
        {"colour": "blue"},
        {"colour": "red"},
        {"price": -4},
        {"price": 8},
        {"score": -0.5},
        {"score": 1},
    ]


@pytest.mark.parametrize(
    "encoding", ["Binary", "Eigen", "EnumLimited", "LabelEncoder", "OneHotExplicit", "SortByResponse"]
)
def test_encodings_that_h2o_makes_beforehand_are_refused(encoding: str) -> None:
    with pytest.raises(BadModel, match=f"must be one of AUTO, OneHotInternal, got {encoding}"):
        replace(network(), encoding=encoding)


def test_weights_that_do_not_fit_are_refused() -> None:
    net = network()
    with pytest.raises(BadModel, match=r"layer 0 must have 9 weights per row, got shape \(3, 8\)"):
        replace(net, weights=(net.weights[0][:, 1:], net.weights[1]))


def test_offsets_must_fit_the_levels() -> None:
    with pytest.raises(BadModel, match=r"categories must be \[3, 2\] slots wide, the offsets are \[0, 4, 7\]"):
        replace(network(), use_all_factor_levels=False)


def test_weights_that_are_not_finite_are_refused() -> None:
    net = network()
    with pytest.raises(BadModel, match="layer 1 has weights that are not finite"):
        replace(net, weights=(net.weights[0], net.weights[1] * np.nan))


def test_an_unknown_activation_is_refused() -> None:
    with pytest.raises(BadModel, match="got ExpRectifier"):
        replace(network(), activation="ExpRectifier")


def test_a_missing_layer_is_refused() -> None:
    with pytest.raises(BadModel, match="the layer must be between 0 and 1, got 2"):
        tower(network(), layer=2)
