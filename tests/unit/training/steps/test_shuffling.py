"""Groups of rows are shuffled whole, and cut only where a part ends."""

import numpy as np
import pytest

from stream_scorer.training.steps.shuffling import Shuffling

GROUP = np.array([2, 0, 0, 5, 2, 2, 3, 0], np.int32)  # 1 and 4 have no row
ROWS = np.arange(8) * 10


def order(seed: int, parts: int) -> list[list[int]]:
    return [part.tolist() for part in Shuffling(ROWS, GROUP).parts(np.random.default_rng(seed), parts)]


@pytest.mark.parametrize("seed", range(5))
def test_groups_stay_together_in_order(seed: int) -> None:
    place = np.random.default_rng(seed).permutation(6)
    expected = ROWS[np.argsort(place[GROUP], kind="stable")].tolist()
    assert order(seed, 1) == [expected]


@pytest.mark.parametrize("parts", [1, 2, 3, 5, 8, 11])
def test_parts_are_even_and_complete(parts: int) -> None:
    (whole,) = order(1, 1)
    assert order(1, parts) == [part.tolist() for part in np.array_split(np.array(whole), parts)]


def test_each_epoch_has_another_order() -> None:
    shuffling, rng = Shuffling(ROWS, GROUP), np.random.default_rng(0)
    orders = {tuple(np.concatenate(list(shuffling.parts(rng, 2))).tolist()) for _ in range(8)}
    assert len(orders) > 1
