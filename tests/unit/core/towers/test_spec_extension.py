"""Specs and tables that go on from earlier ones."""

import numpy as np

from stream_scorer.core.features.spec import Bag, Category, FeatureSpec, Number, Vector
from stream_scorer.core.towers.spec_extension import carried_columns, carried_table, extended
from stream_scorer.core.towers.tower import Layer, Tower

EARLIER = FeatureSpec(
    "offer", (Category("colour", ("red", "blue"), buckets=2), Number("price", mean=5.0, scale=2.0), Bag("tags", ("a",)))
)
DERIVED = FeatureSpec(
    "offer",
    (
        Vector("text", (0.0,), (1.0,)),
        Number("price", mean=9.0, indicator=True),
        Category("colour", ("green", "blue"), buckets=8),
    ),
)


def test_known_inputs_keep_place_and_scale() -> None:
    spec = extended(EARLIER, DERIVED)
    text, price, colour = spec.inputs
    assert text == DERIVED.inputs[0]
    assert price == Number("price", mean=5.0, scale=2.0, indicator=True)
    assert colour == Category("colour", ("red", "blue", "green"), buckets=2)


def test_a_feature_of_new_kind_begins_anew() -> None:
    spec = extended(EARLIER, FeatureSpec("offer", (Category("price", ("cheap",)),)))
    assert spec.inputs == (Category("price", ("cheap",)),)


def earlier_tower() -> Tower:
    table = np.arange(EARLIER.table_rows, dtype=np.float32)[:, None]
    return Tower(EARLIER, table, "concat", (Layer(np.array([[1.0, 2.0, 3.0]]), np.zeros(1)),))


def test_new_values_begin_as_unseen_ones() -> None:
    spec = extended(EARLIER, DERIVED)
    table = carried_table(earlier_tower(), spec, np.full((spec.table_rows, 1), -1.0, np.float32))
    # missing, red, blue, then green as the mean of the two buckets, then the buckets
    assert table[:, 0].tolist() == [0.0, 1.0, 2.0, 3.5, 3.0, 4.0]


def test_inputs_that_are_new_stay_fresh() -> None:
    spec = FeatureSpec("offer", (Category("size", ("big",)), Bag("tags", ("a",))))
    table = carried_table(earlier_tower(), spec, np.full((spec.table_rows, 1), -1.0, np.float32))
    assert table[:, 0].tolist() == [-1.0, -1.0, 5.0, 6.0]


def test_first_layer_columns_match_by_name() -> None:
    new, old = carried_columns(EARLIER, extended(EARLIER, DERIVED), 1)
    # of the new: colour, text, price, its indicator; of the old: colour, tags, price
    assert dict(zip(new.tolist(), old.tolist(), strict=True)) == {0: 0, 2: 2}
