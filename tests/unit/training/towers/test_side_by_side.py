"""An ensemble of towers as one tower."""

import numpy as np
import pytest
import torch

from stream_scorer.core.datasets.chunks import Views
from stream_scorer.core.datasets.training_set import side_of
from stream_scorer.core.features.slots import Bag, Category
from stream_scorer.core.features.spec import FeatureSpec, Number
from stream_scorer.training.export import parity
from stream_scorer.training.towers.batches import Batch
from stream_scorer.training.towers.side_by_side import side_by_side
from stream_scorer.training.towers.tower_module import TowerModule

SPEC = FeatureSpec(
    "customer", (Category("likes", ("a", "b")), Number("age"), Bag("tags", ("x", "y"), 4), Number("spend"))
)
ROWS = [{"likes": "a", "age": 1.0, "tags": ["x"]}, {"age": -2.0, "tags": ["x", "y"]}, {"likes": "b", "spend": 0.5}]


def made(count: int, hidden: tuple[int, ...]) -> list[TowerModule]:
    torch.manual_seed(3)
    return [TowerModule(SPEC, width=3, hidden=hidden, dim=4) for _ in range(count)]


@pytest.mark.parametrize("hidden", [(), (5,), (5, 6)])
def test_outputs_are_those_of_members(hidden: tuple[int, ...]) -> None:
    side, _ = side_of(SPEC, Views(["1", "2", "3"], ROWS))
    batch, members = Batch.of(side, np.arange(3)), made(3, hidden)
    with torch.no_grad():
        outputs = [member.outputs(batch) for member in members]
        lengths = [one.square().sum(dim=1).mean().sqrt() for one in outputs]
        expected = torch.cat([one / length for one, length in zip(outputs, lengths, strict=True)], dim=1)
        torch.testing.assert_close(side_by_side(members, batch).outputs(batch), expected)


def test_the_whole_is_exported_as_one() -> None:
    side, _ = side_of(SPEC, Views(["1", "2", "3"], ROWS))
    whole = side_by_side(made(2, (5,)), Batch.of(side, np.arange(3)))
    tower = whole.export()
    assert (tower.dim, tower.table.shape[1], [layer.units for layer in tower.layers]) == (8, 6, [10, 8])
    assert parity(whole, tower, side) < 1e-6
