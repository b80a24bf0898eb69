"""`stream-scorer import-h2o` as a person runs it: two MOJOs in, a model out, no JVM."""

import json
from pathlib import Path

import numpy as np
import pytest

from stream_scorer.adapters.files.model_files import read_model
from tests.commands import run
from tests.h2o_samples import deep_features, network, write_mojo


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """Flags that name two MOJOs, whose ids are both in the column customer_id, and a folder."""
    user, item = (write_mojo(tmp_path / f"{seed}.zip", network(seed=seed, activation="Tanh")) for seed in (1, 2))
    return ["--user", str(user), "--item", str(item), "--offer-column", "customer_id", "--out", str(tmp_path / "model")]


def test_two_mojos_become_a_model(words: list[str], tmp_path: Path) -> None:
    said = run("import-h2o", *words, "--default", "score=0.75", "--json")
    assert said.returncode == 0, said.stderr
    model = read_model(tmp_path / "model")
    assert json.loads(said.stdout)["model_id"] == model.model_id
    expected = np.array(
        deep_features(network(seed=2, activation="Tanh"), {"colour": "red", "price": 1.0, "score": 0.75}, "bob")
    )
    made = model.item_tower.embed([{"colour": "red", "price": 1.0}], ["bob"]).vectors[0]
    assert np.allclose(made, expected / np.linalg.norm(expected), rtol=0, atol=1e-6)  # a MOJO's weights are float32


@pytest.mark.parametrize(
    ("more", "sentence", "code"),
    [
        (["--default", "score"], "--default must be NAME=NUMBER, got score", 2),
        (["--default", "score=nan"], "--default must be NAME=NUMBER, got score=nan", 2),
        (["--default", "rank=1"], "neither tower reads a number named rank", 2),
        (["--user", "nowhere.zip"], "nowhere.zip is not a file", 2),
        (["--layer", "2"], "the layer must be between 0 and 1, got 2", 1),
    ],
)
def test_what_cannot_be_imported_is_said(words: list[str], more: list[str], sentence: str, code: int) -> None:
    said = run("import-h2o", *words, *more)
    assert (said.returncode, said.stdout) == (code, "")
    assert sentence in said.stderr
