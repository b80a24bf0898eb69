"""A network learns from pairs, and is the same in numpy."""

import numpy as np
import pytest
import torch

from stream_scorer.core.evaluation.auc import auc_by_customer
from stream_scorer.training.reranking.network_training import NetworkSize, RerankerModule, export_network, train_network
from tests.prepared_samples import prepared_pairs


@pytest.mark.parametrize("choices", [False, True])
def test_a_cross_of_both_sides_is_learned(choices: bool) -> None:
    torch.set_num_threads(1)
    data = prepared_pairs(choices=choices)
    reranker = train_network(data, NetworkSize(2, 2, 8, 0.1, steps=80), seed=1)
    auc = auc_by_customer(data.pairs.group, data.scores(reranker), data.pairs.accepted).mean()
    assert auc > 0.85
    assert reranker.customer_half.dim == 2 * 2 + 8 + 1


def test_members_side_by_side_are_their_mean() -> None:
    data = prepared_pairs(10)
    torch.manual_seed(3)
    inputs, size = data.inputs, NetworkSize(3, 2, 4)
    width = data.columns.shape[1]
    members = [RerankerModule(inputs.customers.spec, inputs.offers.spec, width, size) for _ in range(3)]
    means, scales = np.linspace(0, 1, width), np.linspace(1, 2, width)
    rows = np.arange(len(data.columns))
    columns = torch.from_numpy(((data.columns - means) * scales).astype(np.float32))
    with torch.no_grad():
        theirs = np.mean([member(data, columns, rows).numpy() for member in members], axis=0)
    ours = data.scores(export_network(data, members, means, scales))
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_the_same_seed_gives_the_same_network() -> None:
    data = prepared_pairs(20)
    one, other = (train_network(data, NetworkSize(steps=5), seed=1) for _ in range(2))
    assert all((array == other.tensors()[name]).all() for name, array in one.tensors().items())
