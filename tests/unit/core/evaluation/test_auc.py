"""The figures of evaluation against known answers and slow definitions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_scorer.core.evaluation.auc import auc_beside_popularity, auc_by_customer, auc_within


def test_perfect_order_is_one_reverse_is_zero() -> None:
    who, accepted = np.array([0, 0, 0, 1, 1]), np.array([1, 0, 0, 0, 1])
    assert auc_by_customer(who, np.array([3.0, 2.0, 1.0, 2.0, 1.0]), accepted).tolist() == [1.0, 0.0]


def test_customers_with_one_label_do_not_count() -> None:
    found = auc_within(np.array([0, 0, 1, 2, 2]), np.array([1.0, 2.0, 3.0, 1.0, 1.0]), np.array([1, 1, 0, 1, 0]))
    assert (found.auc, found.customers, found.standard_error) == (0.5, 1, None)


def test_nobody_with_both_labels_is_no_figure() -> None:
    assert auc_within(np.array([0, 1]), np.array([1.0, 2.0]), np.array([1, 0])).auc is None


def test_popularity_is_compared_pair_by_pair() -> None:
    who, accepted = np.repeat([0, 1, 2], 3), np.array([1, 0, 0, 0, 1, 0, 0, 0, 1])
    scores = np.array([3.0, 2.0, 1.0, 1.0, 2.0, 3.0, 1.0, 2.0, 3.0])
    popularity = np.array([2.0, 3.0, 1.0, 3.0, 2.0, 1.0, 2.0, 3.0, 1.0])
    facts = auc_beside_popularity(who, scores, popularity, accepted)
    # by customer 1, 0.5, 1 against 0.5, 0.5, 0: differences 0.5, 0, 1
    assert facts["held_out_auc"]["within_customer"] == pytest.approx(5 / 6)
    assert facts["popularity_auc"]["within_customer"] == pytest.approx(1 / 3)
    assert facts["popularity_auc"]["difference_error"] == pytest.approx(0.5 / np.sqrt(3))


rows = st.lists(st.tuples(st.integers(0, 3), st.integers(-2, 2), st.integers(0, 1)), max_size=30)


@given(rows)
def test_auc_is_the_share_of_ordered_pairs(drawn: list[tuple[int, int, int]]) -> None:
    table = np.array(drawn, np.int64).reshape(-1, 3)
    expected = []
    for customer in np.unique(table[:, 0]):
        own = table[table[:, 0] == customer]
        yes, no = own[own[:, 2] == 1, 1], own[own[:, 2] == 0, 1]
        if len(yes) and len(no):
            expected.append(((yes[:, None] > no).mean() + (yes[:, None] >= no).mean()) / 2)
    assert np.allclose(auc_by_customer(table[:, 0], table[:, 1].astype(float), table[:, 2]), expected)
