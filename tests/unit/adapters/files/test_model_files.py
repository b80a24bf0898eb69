"""Model folders: whole or not at all, and refused when they are not what they say."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from stream_scorer.adapters.files.model_files import MANIFEST, TENSORS, read_model, write_model
from stream_scorer.core.towers.model import Model
from stream_scorer.errors import BadModel, UsageError
from tests.release_samples import model


@pytest.fixture
def made() -> Model:
    return model(1)


@pytest.fixture
def folder(made: Model, tmp_path: Path) -> Path:
    write_model(tmp_path / "model", made)
    return tmp_path / "model"


def test_a_model_reads_back_as_it_was(made: Model, folder: Path) -> None:
    again = read_model(folder)
    assert (again.model_id, again.facts) == (made.model_id, made.facts)
    features: list[dict[str, Any]] = [{"price": 3.0, "colour": "blue"}, {"colour": "green"}]
    ours, theirs = made.user_tower.embed(features, ["", ""]), again.user_tower.embed(features, ["", ""])
    assert ours.vectors.tobytes() == theirs.vectors.tobytes()


def test_nothing_but_the_model_is_left_behind(folder: Path) -> None:
    assert [entry.name for entry in folder.parent.iterdir()] == ["model"]
    assert sorted(entry.name for entry in folder.iterdir()) == [MANIFEST, TENSORS]


def test_a_model_is_replaced_by_the_next(folder: Path) -> None:
    write_model(folder, model(2))
    assert read_model(folder).model_id == model(2).model_id
    assert [entry.name for entry in folder.parent.iterdir()] == ["model"]


def test_a_folder_of_something_else_is_not_overwritten(tmp_path: Path, made: Model) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(UsageError, match="is no model"):
        write_model(tmp_path, made)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_a_changed_weight_is_a_bad_model(folder: Path) -> None:
    arrays = load_file(folder / TENSORS)
    arrays["user_tower.table"] = arrays["user_tower.table"] + np.float32(1e-3)
    save_file(arrays, folder / TENSORS)
    with pytest.raises(BadModel, match="was changed"):
        read_model(folder)


def test_a_changed_spec_is_a_bad_model(folder: Path) -> None:
    text = (folder / MANIFEST).read_text()
    (folder / MANIFEST).write_text(text.replace('"blue"', '"green"'))
    with pytest.raises(BadModel, match="was changed"):
        read_model(folder)


@pytest.mark.parametrize("name", [MANIFEST, TENSORS])
def test_a_torn_file_is_a_bad_model(folder: Path, name: str) -> None:
    (folder / name).write_bytes((folder / name).read_bytes()[:-20])
    with pytest.raises(BadModel):
        read_model(folder)


def test_missing_tensors_are_a_bad_model(folder: Path) -> None:
    (folder / TENSORS).unlink()
    with pytest.raises(BadModel, match="cannot be read"):
        read_model(folder)


def test_another_format_is_refused_by_number(folder: Path) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps({**manifest, "format": 9}))
    with pytest.raises(BadModel, match="has format 9, this version reads 1"):
        read_model(folder)


def test_no_model_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=MANIFEST):
        read_model(tmp_path)
