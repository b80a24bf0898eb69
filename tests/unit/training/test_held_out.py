"""Held-out rows are judged by the towers' outputs for each row's own customer and offer."""

import numpy as np
import pytest
import torch

from stream_scorer.core.evaluation import judging
from stream_scorer.core.evaluation.auc import auc_within
from stream_scorer.services.learning.trainer import read_lesson
from stream_scorer.training import held_out
from stream_scorer.training.held_out import HeldOutRows
from stream_scorer.training.lesson import tower_of
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


def test_blocks_judge_as_all_rows_do(monkeypatch: pytest.MonkeyPatch) -> None:
    read = read_lesson(tastes_meet(400), snacks(), TrainOptions(customer_id="on", offer_id="on"))
    data, rows = read.data, np.arange(len(read.data))[::-2]
    user, item = (TowerModule(spec, width=4, hidden=(), dim=8) for spec in (read.user_spec, read.item_spec))
    asked, towers = HeldOutRows(data, rows), (tower_of(user), tower_of(item))
    auc, scores = asked.auc(user, item), judging.row_scores(data, rows, *towers)
    for module in (held_out, judging):
        monkeypatch.setattr(module, "_BLOCK", 7)
    assert asked.auc(user, item) == auc == pytest.approx(auc_within(data.who[rows], scores, data.accepted[rows]).auc)
    assert judging.row_scores(data, rows, *towers).tolist() == scores.tolist()
