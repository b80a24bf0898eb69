"""Programs of torch.export as towers."""

from typing import Any

import numpy as np
import pytest
import torch

from stream_scorer.core.features.spec import Category
from stream_scorer.core.towers.program_tower import ProgramTower
from stream_scorer.core.towers.stored_towers import tower_from
from stream_scorer.errors import BadModel
from stream_scorer.training.program import open_program, program_tower
from tests.program_samples import INPUTS, Net, archive

ROWS: list[dict[str, Any]] = [{"plan": "free", "age": 41.0}, {"age": 38.0}, {}]
IDS = ["ann", "bob", "new"]


@pytest.fixture(scope="module")
def data() -> bytes:
    return archive()


def test_vectors_are_normalised_program_outputs(data: bytes) -> None:
    net = Net()
    with torch.no_grad():
        outputs = net(torch.tensor([[1, 1], [2, 0], [0, 0]]), torch.tensor([[1.0], [-2.0], [0.0]])).double().numpy()
    made = program_tower(data, "customer").embed(ROWS, IDS)
    assert made.errors == ()
    assert np.allclose(made.vectors, outputs / np.linalg.norm(outputs, axis=1, keepdims=True), rtol=0, atol=1e-7)


def test_vectors_do_not_depend_on_batches(data: bytes) -> None:
    tower = program_tower(data, "customer")
    many = tower.embed(ROWS * 50, IDS * 50).vectors
    assert np.array_equal(many[-1:], tower.embed(ROWS[-1:], IDS[-1:]).vectors)
    assert tower.embed([], []).vectors.shape == (0, 4)


def test_a_program_survives_being_stored(data: bytes) -> None:
    tower = program_tower(data, "customer")
    again = tower_from(tower.structure(), tower.tensors(), open_program)
    assert isinstance(again, ProgramTower)
    assert np.array_equal(again.embed(ROWS, IDS).vectors, tower.embed(ROWS, IDS).vectors)


def test_programs_are_refused_where_none_run(data: bytes) -> None:
    tower = program_tower(data, "customer")
    with pytest.raises(BadModel, match="nothing here runs programs"):
        tower_from(tower.structure(), tower.tensors())


def test_infinite_outputs_count_as_zero() -> None:
    class Infinite(Net):
        def forward(self, index: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
            return super().forward(index, numbers) / numbers

    assert program_tower(archive(Infinite()), "customer").embed([{"age": 40.0}], ["ann"]).vectors.tolist() == [
        [0.0] * 4
    ]


def test_a_program_without_declared_inputs_is_refused() -> None:
    with pytest.raises(BadModel, match="the feature spec cannot be read"):
        open_program(archive(other="{}"))


def test_programs_of_other_inputs_are_refused() -> None:
    with pytest.raises(BadModel, match="does not run on the inputs that it declares"):
        open_program(archive(inputs=INPUTS[:1]))


def test_buckets_are_refused() -> None:
    with pytest.raises(BadModel, match="not plan"):
        program_tower(archive(inputs=(INPUTS[0], Category("plan", ("free",), buckets=4), INPUTS[2])), "customer")


def test_what_is_no_archive_is_refused() -> None:
    with pytest.raises(BadModel, match="no archive of torch"):
        open_program(b"no archive")
