"""Models that are registered where they are trained, and published from there."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from stream_scorer.adapters.files.model_files import read_model, write_model
from stream_scorer.adapters.memory.registry import MemoryRegistry
from stream_scorer.core.towers.model import Model
from stream_scorer.errors import BadModel
from stream_scorer.wiring.learning import registering
from stream_scorer.wiring.registry import model_folder
from tests.release_samples import model


def write(registry: MemoryRegistry, folder: Path, made: Model) -> list[str]:
    """Write and register a model, and return the events that were logged."""
    with capture_logs() as logs:
        registering(lambda one: write_model(folder, one), registry, folder, "ranker")(made)
    return [line["event"] for line in logs]


def test_a_retrained_model_is_registered(tmp_path: Path) -> None:
    registry = MemoryRegistry()
    assert write(registry, tmp_path / "model", model(1)) == ["model_registered"]
    with model_folder(lambda: registry, Path("models:/ranker/1")) as (folder, origin):
        assert folder is not None
        assert read_model(folder).model_id == origin["model_id"] == model(1).model_id


def test_registry_away_holds_up_no_release(tmp_path: Path) -> None:
    registry = MemoryRegistry()
    registry.away = True
    assert write(registry, tmp_path / "model", model(1)) == ["model_not_registered"]
    assert read_model(tmp_path / "model").model_id == model(1).model_id


def test_another_models_files_are_refused(tmp_path: Path) -> None:
    registry = MemoryRegistry()
    write(registry, tmp_path / "model", model(1))
    write(registry, tmp_path / "model", model(2))
    (_, files), (model_id, _) = registry.versions["ranker"]
    registry.versions["ranker"] = [(model_id, files)]
    with (
        pytest.raises(BadModel, match=f"registered as {model_id}, and its files say {model(1).model_id}"),
        model_folder(lambda: registry, Path("models:/ranker/1")),
    ):
        pass


def test_a_folder_needs_no_registry(tmp_path: Path) -> None:
    with model_folder(MemoryRegistry, tmp_path / "model") as (folder, origin):
        assert (folder, origin) == (tmp_path / "model", {})
