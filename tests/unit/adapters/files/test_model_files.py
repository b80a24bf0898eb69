"""Model folders: whole or not at all, and refused when they are not what they say."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from stream_scorer.adapters.files.model_files import (
    MANIFEST,
    RERANKER,
    TENSORS,
    TENSORS_BYTES_MAX,
    make_room,
    read_model,
    write_model,
)
from stream_scorer.core.towers.model import Model, digest_model
from stream_scorer.core.towers.tower import digest_towers
from stream_scorer.errors import BadModel, UsageError
from tests import reranking_samples
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


def test_other_folders_are_not_overwritten(tmp_path: Path, made: Model) -> None:
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


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        (TENSORS, b"no tensors", "cannot be read"),
        (TENSORS, b"\xff" * 8, "cannot be read"),
        (MANIFEST, b"[" * 100_000, "cannot be read"),
        (MANIFEST, b"\xff", "cannot be read"),
    ],
)
def test_garbage_in_model_files_is_refused(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    write_model(tmp_path / "model", model(1))
    (tmp_path / "model" / name).write_bytes(content)
    with pytest.raises(BadModel, match=reason):
        read_model(tmp_path / "model")


def test_size_is_checked_before_reading(tmp_path: Path) -> None:
    write_model(tmp_path / "model", model(1))
    with (tmp_path / "model" / TENSORS).open("r+b") as file:
        file.truncate(TENSORS_BYTES_MAX + 1)  # a hole: it takes no space
    with pytest.raises(BadModel, match=f"has {TENSORS_BYTES_MAX + 1} bytes, at most {TENSORS_BYTES_MAX}"):
        read_model(tmp_path / "model")


def test_a_model_of_infinities_is_refused(tmp_path: Path) -> None:
    made = model(1)
    made.user_tower.table[0, 0] = np.nan
    broken = replace(made, model_id=digest_towers(made.user_tower, made.item_tower))
    write_model(tmp_path / "model", broken)
    with pytest.raises(BadModel, match="1 of 21 numbers of table are not finite"):
        read_model(tmp_path / "model")


def test_an_unwritable_place_is_refused_first(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file" / "model", Path("/proc/models/model")):
        with pytest.raises(UsageError, match="cannot be written"):
            make_room(place)


def test_making_room_leaves_nothing_behind(tmp_path: Path) -> None:
    make_room(tmp_path / "models" / "model")
    assert list((tmp_path / "models").iterdir()) == []


@pytest.fixture
def with_reranker(made: Model, tmp_path: Path) -> Path:
    second = reranking_samples.trees()
    model_id = digest_model(made.user_tower, made.item_tower, second)
    write_model(tmp_path / "two", replace(made, model_id=model_id, reranker=second))
    return tmp_path / "two"


def test_a_reranker_reads_back_as_it_was(with_reranker: Path) -> None:
    again = read_model(with_reranker).reranker
    assert again is not None
    assert json.dumps(again.structure()) == json.dumps(reranking_samples.trees().structure())


def test_a_changed_leaf_is_a_bad_model(with_reranker: Path) -> None:
    arrays = load_file(with_reranker / RERANKER)
    arrays["leaves"][0, 0] += 1.0
    save_file(arrays, with_reranker / RERANKER)
    with pytest.raises(BadModel, match="was changed"):
        read_model(with_reranker)


def test_a_lost_reranker_is_a_bad_model(with_reranker: Path) -> None:
    (with_reranker / RERANKER).unlink()
    with pytest.raises(BadModel, match="cannot be read"):
        read_model(with_reranker)
