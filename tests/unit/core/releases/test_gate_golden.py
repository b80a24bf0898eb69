"""The gate holds towers to the golden rows that the engine left."""

from dataclasses import replace
from typing import Any

import pytest

from stream_scorer.core.releases.catalog import Catalog
from stream_scorer.core.releases.gate import faults_of
from stream_scorer.core.towers.model import Model
from tests.release_samples import model, offer, release

FEATURES: list[dict[str, Any]] = [{"price": 1.0}, {"price": 2.0, "colour": "red"}]
IDS = ["a", "b"]


def with_golden(made: Model, off: float) -> Model:
    """Leave golden rows for the item tower; the last output is off by so much."""
    outputs = made.item_tower.outputs(made.item_tower.spec.encode(FEATURES, IDS))
    outputs[-1, -1] += off
    return replace(
        made, facts={"golden": {"item_tower": {"features": FEATURES, "ids": IDS, "outputs": outputs.tolist()}}}
    )


@pytest.fixture
def catalog() -> Catalog:
    return release(
        model(1), [offer(number, features={"price": float(number - 5), "colour": "red"}) for number in range(10)]
    ).catalog


@pytest.mark.parametrize(
    ("off", "faults"), [(0.0, []), (1e-10, []), (1e-8, ["the item_tower differs by up to 1e-08 on golden rows"])]
)
def test_outputs_must_equal_the_engines_own(catalog: Catalog, off: float, faults: list[str]) -> None:
    assert [fault.split(" from ")[0] for fault in faults_of(with_golden(model(1), off), catalog, [])] == faults
