"""What every registry of models must do, in memory and in MLflow with a real store.

No other test imports MLflow, which takes seconds, as do its stores: all tests here share one, and leave it as it was.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from stream_scorer.adapters.files.model_files import MANIFEST, RERANKER, TENSORS, read_model, write_model
from stream_scorer.adapters.memory.registry import MemoryRegistry
from stream_scorer.adapters.mlflow.registry import MlflowRegistry
from stream_scorer.errors import BadModel, TransientError, UsageError
from stream_scorer.ports import ModelRegistry
from tests.release_samples import model, reranked_model
from tests.reranking_samples import network

MODELS = (reranked_model(1, network()), model(2))  # versions 1 and 2 of `ranker`


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mlflow")


@pytest.fixture(scope="module")
def in_mlflow(store: Path) -> Iterator[MlflowRegistry]:
    with pytest.MonkeyPatch.context() as patch:
        # MLflow's servers keep a database; its store in files needs nothing but a folder, and the same client
        patch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        registry = MlflowRegistry(f"file://{store}", experiment="rankers")
        register_both(registry, store.with_name("model"))
        yield registry


@pytest.fixture(params=["memory", "mlflow"])
def registry(request: pytest.FixtureRequest, tmp_path: Path) -> ModelRegistry:
    if request.param == "mlflow":
        registry: ModelRegistry = request.getfixturevalue("in_mlflow")
        return registry
    in_memory = MemoryRegistry()
    register_both(in_memory, tmp_path / "model")
    return in_memory


@pytest.fixture
def stored(in_mlflow: MlflowRegistry, store: Path) -> Path:
    """Return the folder in MLflow's store that has the artifacts of version 2."""
    return next(file.parent for file in store.rglob(TENSORS) if not (file.parent / RERANKER).exists())


def register_both(registry: ModelRegistry, folder: Path) -> None:
    for made in MODELS:
        write_model(folder, made)
        registry.register("ranker", folder, made.model_id, made.facts)


def alias(registry: ModelRegistry, version: str) -> None:
    if isinstance(registry, MlflowRegistry):
        registry._client.set_registered_model_alias("ranker", "champion", version)
    elif isinstance(registry, MemoryRegistry):
        registry.aliases["ranker", "champion"] = version


@pytest.mark.parametrize("version", [1, 2])
def test_what_is_registered_comes_back(registry: ModelRegistry, version: int) -> None:
    registry.check()
    with registry.fetched(f"models:/ranker/{version}") as fetched:
        back = read_model(fetched.folder)
    made = MODELS[version - 1]
    assert (back.model_id, back.facts) == (made.model_id, made.facts)
    assert (back.reranker is None) == (made.reranker is None)
    assert fetched.origin["model_id"] == made.model_id
    assert not fetched.folder.exists()


def test_an_alias_names_what_it_named_last(registry: ModelRegistry) -> None:
    for version in ("1", "2"):
        alias(registry, version)
        with registry.fetched("models:/ranker@champion") as fetched:
            assert fetched.origin["model"] == f"models:/ranker/{version}"


@pytest.mark.parametrize("uri", ["models:/ranker", "models:/ranker/7", "models:/ranker@nobody", "models:/nobody/1"])
def test_what_is_not_registered_is_refused(registry: ModelRegistry, uri: str) -> None:
    with pytest.raises(UsageError), registry.fetched(uri):
        pass


@contextmanager
def changed(file: Path, data: bytes) -> Iterator[None]:
    before = file.read_bytes()
    file.write_bytes(data)
    yield
    file.write_bytes(before)


def test_a_changed_artifact_is_refused(in_mlflow: MlflowRegistry, stored: Path, tmp_path: Path) -> None:
    write_model(tmp_path / "other", model(5))
    other = (tmp_path / "other" / TENSORS).read_bytes()
    with changed(stored / TENSORS, other), in_mlflow.fetched("models:/ranker/2") as fetched:
        copied = shutil.copytree(fetched.folder, tmp_path / "copy")
    with pytest.raises(BadModel, match="was changed"):
        read_model(copied)


def test_nothing_else_is_fetched(in_mlflow: MlflowRegistry, stored: Path) -> None:
    (stored / "model.pkl").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    with in_mlflow.fetched("models:/ranker/2") as fetched:
        assert {file.name for file in fetched.folder.iterdir()} == {MANIFEST, TENSORS}


def test_somebody_elses_model_is_refused(in_mlflow: MlflowRegistry, stored: Path) -> None:
    (stored / MANIFEST).rename(stored / "MLmodel")
    with pytest.raises(UsageError, match=r"has no manifest\.json"), in_mlflow.fetched("models:/ranker/2"):
        pass
    (stored / "MLmodel").rename(stored / MANIFEST)


def test_a_large_file_is_not_fetched(in_mlflow: MlflowRegistry, stored: Path) -> None:
    with changed(stored / MANIFEST, b""):
        with (stored / MANIFEST).open("r+b") as file:
            file.truncate(2**28 + 1)  # a hole, which takes no room
        with pytest.raises(BadModel, match="268435457 bytes, at most"), in_mlflow.fetched("models:/ranker/2"):
            pass


def test_a_run_shows_what_the_model_states(in_mlflow: MlflowRegistry) -> None:
    with in_mlflow.fetched("models:/ranker/2") as fetched:
        run = in_mlflow._client.get_run(fetched.origin["run_id"])
    assert (run.data.metrics, run.data.params) == ({"auc": 0.7}, {"note": "made up"})
    assert run.info.status == "FINISHED"


def test_a_server_away_is_trouble_that_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(TransientError, match="experiment rankers") as trouble:
        MlflowRegistry("http://me:hidden@127.0.0.1:9", experiment="rankers").check()
    assert "hidden" not in str(trouble.value)


@pytest.mark.parametrize("place", [None, "nonsense://somewhere"])
def test_no_tracking_server_is_a_wrong_setting(place: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(UsageError):
        MlflowRegistry(place, experiment="rankers")


def test_mlflow_reports_to_nobody() -> None:
    from mlflow.environment_variables import MLFLOW_DISABLE_TELEMETRY
    from mlflow.telemetry import get_telemetry_client

    disabled: Any = MLFLOW_DISABLE_TELEMETRY  # MLflow gives its variables no types
    assert disabled.get()
    assert get_telemetry_client() is None
