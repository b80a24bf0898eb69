"""A model as a folder: `model.safetensors` has the arrays of both towers, `manifest.json` everything else.

A re-ranker, where there is one, has its arrays in `reranker.safetensors`.

Nothing is pickled, since reading a pickle runs code of whoever made it. The model id is a digest of the contents, so a
file that was changed or torn is refused when it is read.
"""

import os
import shutil
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from stream_scorer.core.reranking.stored_reranker import reranker_from
from stream_scorer.core.towers.model import Model, digest_model
from stream_scorer.core.towers.program_tower import OpenProgram
from stream_scorer.core.towers.stored_towers import tower_from
from stream_scorer.core.towers.tower import Tensors, Tower
from stream_scorer.errors import BadModel, UsageError

FORMAT = 1
TENSORS, RERANKER, MANIFEST = "model.safetensors", "reranker.safetensors", "manifest.json"
TENSORS_BYTES_MAX = 2**32
MANIFEST_BYTES_MAX = 2**28
BYTES_MAX = {MANIFEST: MANIFEST_BYTES_MAX, TENSORS: TENSORS_BYTES_MAX, RERANKER: TENSORS_BYTES_MAX}

_Side = Literal["user_tower", "item_tower"]
_SIDES: tuple[_Side, _Side] = ("user_tower", "item_tower")


# What the readers raise for bytes that are not a model, and for arrays whose number type numpy lacks.
_UNREADABLE = (msgspec.DecodeError, SafetensorError, FileNotFoundError, RecursionError, ValueError, KeyError, TypeError)


class _FolderManifest(msgspec.Struct):
    """What `manifest.json` states about the folder."""

    format: int
    model_id: str
    towers: dict[_Side, dict[str, Any]]
    facts: dict[str, Any]
    reranker: dict[str, Any] | None = None


def make_room(folder: Path) -> None:
    """Check that a model can be written there, before hours of training go into it.

    Raises UsageError for a folder that has anything but a model in it, and for a place where nothing can be written.
    """
    if folder.exists() and not (folder / MANIFEST).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is there and is no model: name a new folder, or an empty one")
    trial = _sibling(folder, "trial")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        trial.mkdir(exist_ok=True)
        trial.rmdir()
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {error.filename}: {error.strerror}") from error


def write_model(folder: Path, model: Model) -> None:
    """Write the folder whole or not at all, and replace a model that is there already. Raises as `make_room` does."""
    make_room(folder)
    made, replaced = _sibling(folder, "new"), _sibling(folder, "old")
    for leftover in (made, replaced):
        shutil.rmtree(leftover, ignore_errors=True)
    made.mkdir()
    _fill(made, model)
    # A folder cannot be renamed over another that has files in it, so the old model steps aside first. A kill between
    # the two renames leaves no model at the place, and both models whole beside it.
    if folder.exists():
        folder.rename(replaced)
    made.rename(folder)
    shutil.rmtree(replaced, ignore_errors=True)


def read_model(folder: Path, *, open_program: OpenProgram | None = None) -> Model:
    """Read a model whose towers are of any kind; `open_program` opens a tower that is a program.

    Raises UsageError when there is no model, BadModel for a model that is torn, changed or of another format, or whose
    program cannot be opened.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise UsageError(f"{folder} is not a model: it has no {MANIFEST}")
    try:
        _check_size(path, MANIFEST_BYTES_MAX)
        manifest = msgspec.json.decode(path.read_bytes(), type=_FolderManifest)
        _check_size(folder / TENSORS, TENSORS_BYTES_MAX)
        arrays = load_file(folder / TENSORS)
        second = None if manifest.reranker is None else _arrays_of_reranker(folder)
    except _UNREADABLE as error:
        raise BadModel(f"the model in {folder} cannot be read: {error}") from error
    if manifest.format != FORMAT:
        raise BadModel(f"the model in {folder} has format {manifest.format}, this version reads {FORMAT}")
    user_tower, item_tower = (_tower(manifest, arrays, side, open_program) for side in _SIDES)
    reranker = None if second is None else reranker_from(manifest.reranker or {}, second)
    if (found := digest_model(user_tower, item_tower, reranker)) != manifest.model_id:
        raise BadModel(f"the model in {folder} was changed: it says {manifest.model_id}, its contents are {found}")
    return Model(manifest.model_id, user_tower, item_tower, manifest.facts, reranker)


def stated_id(folder: Path) -> str:
    """Return the id that a model's manifest states; whether its contents have it is for `read_model` to find out."""
    path = folder / MANIFEST
    _check_size(path, MANIFEST_BYTES_MAX)
    try:
        return msgspec.json.decode(path.read_bytes(), type=_FolderManifest).model_id
    except _UNREADABLE as error:
        raise BadModel(f"the model in {folder} cannot be read: {error}") from error


def _arrays_of_reranker(folder: Path) -> Tensors:
    _check_size(folder / RERANKER, TENSORS_BYTES_MAX)
    arrays: Tensors = load_file(folder / RERANKER)
    return arrays


def _check_size(path: Path, bytes_max: int) -> None:
    """Raise BadModel for a file that is too large, before it takes any memory."""
    if (size := path.stat().st_size) > bytes_max:
        raise BadModel(f"{path} has {size} bytes, at most {bytes_max}")


def _tower(manifest: _FolderManifest, arrays: Tensors, side: _Side, open_program: OpenProgram | None) -> Tower:
    # Both towers share a file, so the name of each array begins with its tower's.
    own = {name.removeprefix(f"{side}."): array for name, array in arrays.items() if name.startswith(f"{side}.")}
    if side not in manifest.towers:
        raise BadModel(f"the model has no {side}")
    return tower_from(manifest.towers[side], own, open_program)


def _fill(folder: Path, model: Model) -> None:
    towers = {"user_tower": model.user_tower, "item_tower": model.item_tower}
    arrays = {
        f"{side}.{name}": np.ascontiguousarray(array)
        for side, tower in towers.items()
        for name, array in tower.tensors().items()
    }
    save_file(arrays, folder / TENSORS)
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "model_id": model.model_id,
        "facts": model.facts,
        "towers": {side: tower.structure() for side, tower in towers.items()},
    }
    if model.reranker is not None:
        save_file(
            {name: np.ascontiguousarray(array) for name, array in model.reranker.tensors().items()}, folder / RERANKER
        )
        manifest["reranker"] = model.reranker.structure()
    (folder / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=1))


def _sibling(folder: Path, what: str) -> Path:
    return folder.with_name(f".{folder.name}.{what}-{os.getpid()}")
