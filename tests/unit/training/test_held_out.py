"""Held-out rows are judged by the towers' outputs for each row's own customer and offer."""

import numpy as np
import torch

from stream_scorer.services.learning.trainer import read_lesson
from stream_scorer.training.held_out import HeldOutRows
from stream_scorer.training.options import TrainOptions
from stream_scorer.training.towers.batches import Batch
from stream_scorer.training.towers.tower_module import TowerModule
from tests.example_samples import snacks, tastes_meet


@torch.no_grad()
def test_each_row_has_its_own_outputs() -> None:
    read = read_lesson(tastes_meet(400), snacks(), TrainOptions(customer_id="on", offer_id="on"))
    data, rows = read.data, np.arange(len(read.data))[::-2]
    user, item = (TowerModule(spec, width=4, hidden=(), dim=8) for spec in (read.user_spec, read.item_spec))
    users, items = HeldOutRows(data, rows).outputs(user, item)
    own_users = user.outputs(Batch.of(data.customers, data.customer[rows].astype(np.int64)))
    own_items = item(Batch.of(data.offers, data.offer[rows].astype(np.int64)))
    assert torch.allclose(users, own_users, atol=1e-6)
    assert torch.allclose(items, own_items, atol=1e-6)
