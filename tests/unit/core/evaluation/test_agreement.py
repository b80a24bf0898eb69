"""How far a model ranks alike for all customers."""

import numpy as np
import pytest

from stream_scorer.core.evaluation.agreement import agreement

OFFERS = np.array([[1.0, 0.0, 5.0], [0.0, 1.0, 5.0], [0.6, 0.6, 5.0]])


def test_one_order_agrees_whatever_the_scale() -> None:
    assert agreement(np.array([[1.0, 0.5, 0.0], [2.0, 1.0, 0.0]]), OFFERS) == pytest.approx(1.0)


def test_what_all_offers_share_changes_no_order() -> None:
    assert agreement(np.array([[1.0, 0.5, -3.0], [1.0, 0.5, 4.0]]), OFFERS) == pytest.approx(1.0)


def test_opposite_tastes_do_not_agree() -> None:
    assert agreement(np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]), OFFERS) < 0.7


def test_customers_without_an_order_count_for_nothing() -> None:
    assert agreement(np.array([[1.0, 0.5, 0.0], [0.0, 0.0, 1.0]]), OFFERS) == pytest.approx(1.0)
    assert agreement(np.array([[0.0, 0.0, 1.0]]), OFFERS) == 1.0
