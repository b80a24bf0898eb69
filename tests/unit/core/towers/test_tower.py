"""The forward pass: known answers, the same bytes in any batch, and what is refused."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_scorer.core.features.spec import Bag, Category, FeatureSpec, Number
from stream_scorer.core.towers.tower import Layer, Tower, digest_towers, normalised
from stream_scorer.errors import BadModel

COLOUR = FeatureSpec("offer", (Category("colour", ("red", "blue")), Bag("tags", ("a", "b")), Number("price")))


def deep(seed: int = 0, width: int = 24) -> Tower:
    rng = np.random.default_rng(seed)
    inputs = 2 * 5 + 1
    layers = (
        Layer(rng.normal(size=(width, inputs)), rng.normal(size=width), "relu"),
        Layer(rng.normal(size=(width, width)), rng.normal(size=width), "tanh"),
        Layer(rng.normal(size=(2 * 7, width)), rng.normal(size=14), "maxout", scale=0.5),
    )
    return Tower(COLOUR, rng.normal(size=(COLOUR.table_rows, 5)).astype(np.float32), "concat", layers)


offers = st.fixed_dictionaries(
    {
        "colour": st.sampled_from(["red", "blue", "green", None]),
        "tags": st.lists(st.sampled_from(["a", "b", "c"]), max_size=5),
        "price": st.one_of(st.none(), st.floats(-1e3, 1e3)),
    }
)


@settings(deadline=None, max_examples=30)
@given(st.lists(offers, min_size=1, max_size=150), st.integers(0, 200))
def test_a_vector_ignores_its_batch(batch: list[dict[str, object]], shift: int) -> None:
    tower = deep()
    shifted = batch[:1] * shift + batch
    vectors = tower.embed(shifted, [""] * len(shifted)).vectors
    for row in {0, len(shifted) // 2, len(shifted) - 1}:
        alone = tower.embed([shifted[row]], [""]).vectors
        assert vectors[row].tobytes() == alone[0].tobytes()


def test_slots_are_means_before_numbers() -> None:
    table = np.arange(12, dtype=np.float32).reshape(6, 2)
    tower = Tower(COLOUR, table, "concat", ())
    outputs = tower.outputs(COLOUR.encode([{"colour": "blue", "tags": ["a", "b"], "price": 9.0}], ["o"]))
    assert outputs.tolist() == [[4.0, 5.0, 9.0, 10.0, 9.0]]


def test_summed_slots_are_a_dense_layer() -> None:
    rng = np.random.default_rng(1)
    weight, bias = rng.normal(size=(4, 7)), rng.normal(size=4)  # six rows of the table, and the price
    identity = np.concatenate([np.eye(4), weight[:, 6:]], axis=1)
    tower = Tower(COLOUR, np.ascontiguousarray(weight[:, :6].T), "sum", (Layer(identity, bias, "tanh"),))
    one_hot = np.array([0, 1, 0, 0, 0, 1, 0.25])  # red; the bag holds b; the price
    outputs = tower.outputs(COLOUR.encode([{"colour": "red", "tags": ["b"], "price": 0.25}], ["o"]))
    assert np.allclose(outputs[0], np.tanh(weight @ one_hot + bias), rtol=0, atol=1e-15)


def test_maxout_takes_the_larger_of_neighbouring_rows() -> None:
    spec = FeatureSpec("offer", (Number("x"),))
    layer = Layer(np.array([[1.0], [-1.0], [2.0], [3.0]]), np.zeros(4), "maxout")
    tower = Tower(spec, np.zeros((0, 1), np.float32), "concat", (layer,))
    assert tower.outputs(spec.encode([{"x": 2.0}, {"x": -2.0}], ["", ""])).tolist() == [[2.0, 6.0], [2.0, -4.0]]


def test_vectors_have_length_one() -> None:
    vectors = deep().embed([{"colour": "red"}, {}], ["a", "b"]).vectors
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, rtol=0, atol=1e-15)


def test_a_zero_vector_stays_zero() -> None:
    assert normalised(np.zeros((2, 3))).tolist() == [[0.0] * 3] * 2


@pytest.mark.parametrize("size", [1e-300, 1e300])
def test_lengths_neither_vanish_nor_overflow(size: float) -> None:
    assert np.allclose(normalised(np.array([[3.0 * size, 4.0 * size]])), [[0.6, 0.8]])


def test_an_empty_batch_gives_no_vectors() -> None:
    assert deep().embed([], []).vectors.shape == (0, 7)


def test_errors_of_rows_come_with_the_vectors() -> None:
    embedded = deep().embed([{"price": "cheap"}, {}], ["a", "b"])
    assert [error.index for error in embedded.errors] == [0]
    assert embedded.vectors[0].tobytes() == embedded.vectors[1].tobytes()


def test_a_tower_survives_its_tensors_and_structure() -> None:
    tower = deep()
    again = Tower.from_tensors(json.loads(json.dumps(tower.structure())), tower.tensors())
    assert digest_towers(again, again) == digest_towers(tower, tower)
    assert (
        again.embed([{"price": 1.0}], [""]).vectors.tobytes() == tower.embed([{"price": 1.0}], [""]).vectors.tobytes()
    )


def test_the_digest_tells_the_towers_apart() -> None:
    one, other = deep(1), deep(2)
    assert len({digest_towers(one, other), digest_towers(other, one), digest_towers(one, one)}) == 3


def test_arrays_must_fit_each_other() -> None:
    good = deep()
    with pytest.raises(BadModel, match="table must have 6 rows"):
        Tower(COLOUR, good.table[:-1], "concat", good.layers)
    with pytest.raises(BadModel, match="layer 1"):
        Tower(COLOUR, good.table, "concat", (good.layers[0], *good.layers[:1]))


def test_a_tower_needs_all_its_arrays() -> None:
    tensors = deep().tensors()
    del tensors["layers.1.bias"]
    with pytest.raises(BadModel, match=r"layers\.1\.bias"):
        Tower.from_tensors(deep().structure(), tensors)
