"""Rows on the device give the loss and the towers that rows gathered by the host give."""

import gc
import math
import weakref
from dataclasses import fields, replace
from types import SimpleNamespace
from typing import Literal

import numpy as np
import pytest
import torch

from stream_scorer.core.datasets.chunks import Views
from stream_scorer.core.datasets.training_set import EncodedSide, TrainingSet, side_of
from stream_scorer.core.features.spec import Bag, Category, FeatureSpec, Number
from stream_scorer.services.learning.trainer import read_lesson
from stream_scorer.training import joint
from stream_scorer.training.lesson import Fitted, Lesson
from stream_scorer.training.objective import AcceptanceHead, Objective
from stream_scorer.training.options import TrainOptions
from stream_scorer.training.steps import resident_rows
from stream_scorer.training.steps.resident_rows import PaddedSide, ResidentRows
from stream_scorer.training.towers.batches import Batch, IdDropout
from stream_scorer.training.towers.tower_module import TowerModule
from tests.example_samples import snacks, tastes_meet

CPU = torch.device("cpu")
QUICK = TrainOptions(dim=8, width=4, epochs=3, batch_rows=256, id_dropout=0.0, customer_id="on", offer_id="on")
SPEC = FeatureSpec(
    "customer", (Category("day", ("mon", "tue")), Bag("lately", ("a", "b", "c"), 2), Number("age", 0, 1))
)


def bags(*bags: list[str]) -> EncodedSide:
    return side_of(SPEC, Views(["x"] * len(bags), [{"lately": bag, "day": "tue"} for bag in bags]))[0]


def tensors_of(part: ResidentRows | PaddedSide) -> list[torch.Tensor]:
    values = (getattr(part, each.name) for each in fields(part))
    return [value for value in values if isinstance(value, torch.Tensor)]


def lesson() -> Lesson:
    return read_lesson(tastes_meet(1_200), snacks(), QUICK)


def trained(options: TrainOptions) -> Fitted:
    return joint.fit(lesson(), options, report=lambda epoch: None)


def test_padded_bags_have_the_embeddings_of_bags() -> None:
    side, chosen = bags(["a", "b", "c"], [], ["b"]), np.array([2, 0, 1, 0])
    padded = PaddedSide.of(side, CPU)
    module = TowerModule(SPEC, width=4, hidden=(), dim=8)
    ours, theirs = module(padded.batch(torch.from_numpy(chosen))), module(Batch.of(side, chosen))
    assert torch.allclose(ours, theirs, atol=1e-6)


def test_padding_sends_no_gradient_to_other_rows() -> None:
    side = bags(["a", "b", "c"], ["b"])
    padded = PaddedSide.of(side, CPU)
    module = TowerModule(SPEC, width=4, hidden=(), dim=8)
    gradients = []
    for batch in (padded.batch(torch.arange(2)), Batch.of(side, np.arange(2))):
        module.zero_grad()
        module(batch)[:, 0].sum().backward()
        assert module.table.grad is not None
        gradients.append(module.table.grad.clone())
    assert torch.allclose(gradients[0], gradients[1], atol=1e-6)


def test_blocks_pad_as_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    side = bags(["a", "b", "c"], [], ["b"], ["c", "a"])
    whole = PaddedSide.of(side, CPU)
    monkeypatch.setattr(resident_rows, "_BLOCK", 3)
    blocks = PaddedSide.of(side, CPU)
    assert torch.equal(blocks.rows, whole.rows)
    assert whole.shares is not None
    assert blocks.shares is not None
    assert torch.equal(blocks.shares, whole.shares)


def test_one_very_long_bag_stays_home() -> None:
    data = lesson().data
    customers = bags(["a"] * 900, *[["b"]] * (len(data.customers) - 1))
    assert ResidentRows.of(replace(data, customers=customers), CPU, bytes_max=math.inf) is None


def test_rows_beyond_the_bound_stay_home() -> None:
    data = lesson().data
    padded = ResidentRows.of(data, CPU, bytes_max=math.inf)
    assert padded is not None
    tensors = [tensor for part in (padded, padded.customers, padded.offers) for tensor in tensors_of(part)]
    taken = sum(tensor.nbytes for tensor in tensors)
    assert ResidentRows.of(data, CPU, bytes_max=taken * 0.9) is None


@pytest.mark.parametrize("objective", ["shown", "separate"])
def test_resident_rows_have_the_loss_of_rows(objective: Literal["shown", "separate"]) -> None:
    read = lesson()
    recipe = read.recipe(replace(QUICK, objective=objective))
    user, item = (TowerModule(spec, width=4, hidden=(), dim=8) for spec in (read.user_spec, read.item_spec))
    head, rows = AcceptanceHead(dim=8, temperature=0.1, rate=0.2), np.arange(5, 500)
    asked = Objective(read.data, user, item, head, recipe=recipe, learned=rows)
    resident = ResidentRows.of(read.data, CPU, bytes_max=math.inf)
    assert resident is not None
    there = asked.resident_loss(resident, torch.from_numpy(rows), training=True)
    here = asked.loss(rows, np.random.default_rng(0), training=True)
    assert float(there.detach()) == pytest.approx(float(here.detach()), rel=1e-6)


@pytest.mark.parametrize("objective", ["shown", "separate"])
def test_resident_rows_train_the_same_towers(
    objective: Literal["shown", "separate"], monkeypatch: pytest.MonkeyPatch
) -> None:
    options = replace(QUICK, objective=objective)
    here = trained(options)
    monkeypatch.setattr(joint, "RESIDENT_ON", frozenset({"cpu"}))
    there = trained(options)
    assert [one.loss for one in there.epochs] == pytest.approx([one.loss for one in here.epochs], rel=1e-4)
    assert torch.allclose(there.user.table, here.user.table, atol=1e-3)


def test_rows_are_given_back_without_a_collection(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[weakref.ref[torch.Tensor]] = []

    def noted(data: TrainingSet, device: torch.device, *, bytes_max: float) -> ResidentRows | None:
        resident = ResidentRows.of(data, device, bytes_max=bytes_max)
        assert resident is not None
        kept.extend(weakref.ref(tensor) for tensor in (resident.weight, resident.customers.rows))
        return resident

    monkeypatch.setattr(joint, "RESIDENT_ON", frozenset({"cpu"}))
    monkeypatch.setattr(joint, "ResidentRows", SimpleNamespace(of=noted))
    gc.disable()  # on a GPU nothing would make it run: the host holds a few small objects
    try:
        done = trained(replace(QUICK, epochs=1))
        assert [one() for one in kept] == [None, None]
    finally:
        gc.enable()
    assert len(done.epochs) == 1


def test_choices_among_the_catalog_need_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joint, "RESIDENT_ON", frozenset({"cpu"}))
    here = trained(replace(QUICK, catalog_weight=0.5, epochs=1))
    assert np.isfinite(here.best_epoch.loss)


def test_ids_dropped_on_the_device_are_hashed() -> None:
    spec = FeatureSpec("offer", (Category("offer_id", ("a", "b"), 4, from_id=True), Category("kind", ("x",))))
    side, _ = side_of(spec, Views(["a", "b"] * 50, [{"kind": "x"}] * 100))
    batch = Batch.of(side, np.arange(100))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        rows = IdDropout(spec, 0.5).on_device(batch).rows.reshape(-1, 2)
    known = batch.rows.reshape(-1, 2)
    dropped = (rows[:, 0] != known[:, 0]).numpy()
    assert 25 <= dropped.sum() <= 75
    assert (rows[:, 0].numpy()[dropped] > 2).all()
    assert torch.equal(rows[:, 1], known[:, 1])
