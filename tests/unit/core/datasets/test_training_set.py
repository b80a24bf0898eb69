"""Examples as arrays: each thing once, rows in order of time, and bad rows left out and counted."""

import numpy as np
import pytest

from stream_scorer.core.datasets.chunks import Views
from stream_scorer.core.datasets.training_set import TrainingSet, build_training_set
from stream_scorer.core.features.spec import Bag, Category, FeatureSpec, Number
from stream_scorer.core.messages import Offer
from stream_scorer.errors import UsageError
from tests.example_samples import Chunks, chunk

CUSTOMER = FeatureSpec("customer", (Number("age"), Bag("lately", ("a", "b"))))
OFFER = FeatureSpec("offer", (Category("offer_id", ("a", "b"), from_id=True),))
CATALOG = [Offer(offer_id="b", features={}), Offer(offer_id="a", features={})]
ANN, BOB = {"age": 1.0, "lately": ["a", "b"]}, {"age": 2.0}


def built(*parts: object) -> TrainingSet:
    return build_training_set(Chunks(parts), CATALOG, CUSTOMER, OFFER)  # type: ignore[arg-type]


def offers() -> Views:
    return Views(["a", "b"], [{}, {}])


def test_equal_features_are_encoded_once_across_chunks() -> None:
    one = chunk(Views(["ann", "bob"], [ANN, BOB]), offers(), [(0, 0, 1), (1, 1, 0)])
    other = chunk(Views(["bob", "cat"], [BOB, {"age": 3.0}]), offers(), [(0, 0, 1), (1, 1, 0)])
    data = built(one, other)
    assert (len(data.customers), len(data.offers), len(data)) == (3, 2, 4)
    assert data.customers.numbers[data.customer, 0].tolist() == [1.0, 2.0, 2.0, 3.0]


def test_encoded_examples_equal_the_specs_encoding() -> None:
    data = built(chunk(Views(["bob", "ann"], [BOB, ANN]), offers(), [(0, 0, 1), (1, 1, 0)]))
    inputs, expected = data.customers.inputs(np.array([1, 0])), CUSTOMER.encode([ANN, BOB], ["ann", "bob"])
    assert (inputs.rows.tolist(), inputs.starts.tolist()) == (expected.rows.tolist(), expected.starts.tolist())
    assert inputs.numbers.tolist() == expected.numbers.tolist()


def test_rows_are_in_order_of_time() -> None:
    late = chunk(Views(["ann"], [ANN]), offers(), [(0, 0, 1), (0, 1, 0)], request_time_ms=np.array([9, 4]))
    early = chunk(Views(["ann"], [ANN]), offers(), [(0, 0, 0)], request_time_ms=np.array([5]))
    assert built(late, early).request_time_ms.tolist() == [4, 5, 9]


def test_customers_of_equal_features_stay_apart() -> None:
    data = built(chunk(Views(["ann", "bob"], [BOB, BOB]), offers(), [(0, 0, 1), (1, 0, 0)]))
    assert (len(data.customers), data.who.tolist()) == (1, [0, 1])


def test_offers_outside_the_catalog_are_marked() -> None:
    data = built(chunk(Views(["ann"], [ANN]), Views(["a", "gone"], [{}, {}]), [(0, 0, 1), (0, 1, 1)]))
    assert data.catalog_of[data.offer].tolist() == [1, -1]


def test_offers_that_look_alike_stay_apart() -> None:
    spec = FeatureSpec("offer", (Category("colour", ("red",)),))
    alike = Views(["a", "b", "gone"], [{"colour": "red"}] * 3)
    source = Chunks((chunk(Views(["ann"], [ANN]), alike, [(0, 0, 1), (0, 1, 0), (0, 2, 0)]),))
    data = build_training_set(source, CATALOG, CUSTOMER, spec)
    assert data.catalog_of[data.offer].tolist() == [1, 0, -1]


def test_rows_keep_the_features_that_were_ranked() -> None:
    """A price of one request alone is what its rows learn from, of offers taken and passed over, not the catalog's."""
    spec, catalog = FeatureSpec("offer", (Number("price"),)), [Offer(one, {"price": 5.0}) for one in ("a", "b")]
    stated = Views(["a", "b", "a", "b"], [{"price": price} for price in (9.0, 8.0, 7.0, 5.0)])
    shown = chunk(Views(["ann", "bob"], [ANN, BOB]), stated, [(0, 0, 1), (0, 1, 0), (1, 2, 0), (1, 3, 1)])
    data = build_training_set(Chunks((shown,)), catalog, CUSTOMER, spec)
    assert data.offers.numbers[data.offer, 0].tolist() == [9.0, 8.0, 7.0, 5.0]
    assert data.catalog.numbers[data.catalog_of[data.offer], 0].tolist() == [5.0] * 4


def test_rows_that_do_not_fit_are_counted() -> None:
    data = built(chunk(Views(["ann", "bob"], [ANN, {"age": "old"}]), offers(), [(0, 0, 1), (1, 0, 1), (1, 1, 0)]))
    assert (len(data), data.refused) == (1, 2)


def test_misfit_catalog_offers_are_refused_by_name() -> None:
    spec = FeatureSpec("offer", (Number("price"),))
    catalog = [Offer(offer_id="a", features={"price": "cheap"})]
    with pytest.raises(UsageError, match="offer 'a': feature 'price' must be a number"):
        build_training_set(Chunks((chunk(Views(["ann"], [ANN]), offers(), [(0, 0, 1)]),)), catalog, CUSTOMER, spec)


def test_no_examples_are_refused() -> None:
    with pytest.raises(UsageError, match="no labelled examples"):
        built()


def test_requests_are_numbered_across_chunks() -> None:
    names = [np.array([7, 7, 3], np.uint64), np.array([3, 2**64 - 1], np.uint64)]
    chunks = [chunk(Views(["ann"], [ANN]), offers(), [(0, 0, 1)] * len(request), request=request) for request in names]
    assert built(*chunks).request.tolist() == [1, 0, 1, 2, 0]  # in order of time


def test_columns_of_one_value_take_no_memory() -> None:
    chunks = [chunk(Views(["ann"], [ANN]), offers(), [(0, 0, 1)] * 9) for _ in range(2)]
    data = built(*chunks)
    assert (data.weight.strides, data.propensity.strides, data.weight.tolist()) == ((0,), (0,), [1.0] * 18)
    assert np.isnan(data.propensity).all()


def test_values_that_differ_between_chunks_stay() -> None:
    chunks = [
        chunk(Views(["ann"], [ANN]), offers(), [(0, 0, 1)] * 2, weight=np.full(2, weight)) for weight in (1.0, 4.0)
    ]
    assert built(*chunks).weight.tolist() == [1.0, 4.0, 1.0, 4.0]  # in order of time
