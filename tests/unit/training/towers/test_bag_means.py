"""Means of bags are torch's own, forward and backward."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from stream_scorer.training.towers.bag_means import bag_means

ROWS = torch.tensor([4, 0, 2, 2, 1, 4])


def _gradient(means: Tensor, table: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    weights = torch.arange(means.numel(), dtype=torch.float32).reshape(means.shape)
    (gradient,) = torch.autograd.grad((means * weights).sum(), table)
    return np.asarray(gradient.numpy())


@pytest.mark.parametrize("starts", [[0, 1, 2, 3, 4, 5], [0, 2, 5], [0]])
def test_means_and_gradients_are_torchs(starts: list[int]) -> None:
    table, begins = torch.linspace(-1, 1, 15).reshape(5, 3).requires_grad_(), torch.tensor(starts)
    means, expected = bag_means(table, ROWS, begins), functional.embedding_bag(ROWS, table, begins, mode="mean")
    assert means.detach().numpy() == pytest.approx(expected.detach().numpy())
    assert _gradient(means, table) == pytest.approx(_gradient(expected, table), abs=1e-6)


def test_rows_in_no_bag_get_nothing() -> None:
    table = torch.ones(5, 3, requires_grad=True)
    assert not _gradient(bag_means(table, ROWS, torch.tensor([0, 2])), table)[3].any()
