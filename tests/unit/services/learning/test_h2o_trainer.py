"""What towers learn from in H2O, before any JVM."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from stream_scorer.core.datasets.chunks import Views
from stream_scorer.errors import UsageError
from stream_scorer.services.learning.h2o_trainer import item_table, rows_of, user_table
from stream_scorer.training.h2o.options import H2oOptions
from tests.example_samples import Chunks, chunk

LABELS = [(row % 2, row % 3, row % 2) for row in range(60)]


def examples(customers: list[dict[str, Any]] | None = None, **columns: Any) -> Chunks:
    """Return two customers, of whom only the first states a price, and three offers with prices 10, 20 and none."""
    made = Views(["ann", "bob"], customers or [{"price": 5.0}, {}])
    return Chunks((chunk(made, Views(["x", "y", "z"], [{"price": 10.0}, {"price": 20}, {}]), LABELS, **columns),))


def test_customers_without_a_price_are_ranked() -> None:
    rows = rows_of(examples(), H2oOptions())
    assert np.array_equal(user_table(rows).numbers["price"][:6], [5.0, 20.0, 5.0, 10.0, 5.0, np.nan], equal_nan=True)
    assert np.array_equal(item_table(rows).numbers["price"][:3], [10.0, 20.0, np.nan], equal_nan=True)


def test_rank_and_score_are_missing_where_unknown() -> None:
    rank, score = np.zeros(60, np.int64), np.full(60, np.nan)
    rank[0], score[0] = 3, 0.5
    table = item_table(rows_of(examples(rank=rank, score=score), H2oOptions()))
    assert [table.numbers[name][0] for name in ("rank", "score")] == [3.0, 0.5]
    assert all(np.isnan(table.numbers[name][1:]).all() for name in ("rank", "score"))


def test_codes_of_later_chunks_keep_ids() -> None:
    first, second = Views(["ann", "bob"], [{}, {}]), Views(["bob", "cat"], [{}, {}])
    offers = Views(["x"], [{}])
    rows = [(row % 2, 0, row // 2 % 2) for row in range(40)]
    both = Chunks(
        (chunk(first, offers, rows), chunk(second, offers, rows, request=np.arange(100, 140, dtype=np.uint64)))
    )
    read = rows_of(both, H2oOptions())
    assert read.customers == ["ann", "bob", "cat"]
    assert read.customer[40:42].tolist() == [1, 2]


def test_requests_are_held_out_whole() -> None:
    request = np.repeat(np.arange(1, 31, dtype=np.uint64), 2)
    held_out = rows_of(examples(request=request), H2oOptions()).held_out
    assert np.array_equal(held_out[::2], held_out[1::2])
    assert 0 < held_out.sum() < 60


def test_the_seed_decides_what_is_held_out() -> None:
    one, again, other = (rows_of(examples(), replace(H2oOptions(), seed=seed)).held_out for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_labels_of_one_kind_are_refused() -> None:
    with pytest.raises(UsageError, match="H2O needs accepted rows and others, got 0 accepted of"):
        rows_of(examples(accepted=np.zeros(60, np.int8)), H2oOptions())


def test_no_examples_are_refused() -> None:
    with pytest.raises(UsageError, match="no labelled examples"):
        rows_of(Chunks(()), H2oOptions())


def test_prices_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(UsageError, match="the price of 'ann' must be a number, got 'dear'"):
        rows_of(examples([{"price": "dear"}, {}]), H2oOptions())


def test_options_out_of_bounds_are_refused() -> None:
    with pytest.raises(UsageError, match=r"held_out must be between 0\.01 and 0\.5, got 0\.9"):
        H2oOptions(held_out=0.9)
