"""Models logged to MLflow's tracking server, registered there, and fetched again.

What is logged is the model's folder as it is, and no MLflow flavour: a flavour is loaded by running code that comes
with it, while our folders hold numbers and JSON alone. So a registered model is fetched as files, and whoever fetches
it reads them as any model's folder.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from posixpath import basename
from tempfile import TemporaryDirectory
from typing import Any

from mlflow.artifacts import download_artifacts, list_artifacts
from mlflow.entities import FileInfo, Metric, Param, RunInfo
from mlflow.entities.model_registry import ModelVersion
from mlflow.environment_variables import MLFLOW_TRACKING_URI
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from stream_scorer.adapters.files.model_files import BYTES_MAX, MANIFEST
from stream_scorer.adapters.mlflow.failures import reached
from stream_scorer.core.towers.registered import metrics_of, params_of, registered_name
from stream_scorer.errors import BadModel, UsageError
from stream_scorer.ports import FetchedModel

MODEL_ID = "stream_scorer.model_id"
_ARTIFACT = "model"
_SERVER: Any = MLFLOW_TRACKING_URI  # MLflow gives its variables no types


class MlflowRegistry:
    """See ModelRegistry."""

    def __init__(self, tracking_uri: str | None, *, experiment: str) -> None:
        """Use a tracking server; None: the one that MLFLOW_TRACKING_URI names."""
        # MLflow's own default is a database in the working folder, where nobody would look for the model again
        if tracking_uri is None and not _SERVER.get():
            raise UsageError("no tracking server is named: set mlflow.tracking_uri, such as https://mlflow:5000")
        with reached("opening MLflow"):
            self._client = MlflowClient(tracking_uri, tracking_uri)
        self._experiment = experiment

    def check(self) -> None:
        """See ModelRegistry.check. The experiment is made where it is missing."""
        self._experiment_id()

    def register(self, name: str, folder: Path, model_id: str, facts: Mapping[str, object]) -> str:
        """See ModelRegistry.register. A run of its own shows the facts."""
        experiment = self._experiment_id()
        with reached(f"registering {name}"):
            run = self._client.create_run(experiment, tags={MODEL_ID: model_id}).info
            self._log(run, folder, facts)
            self._make(name)
            version = self._client.create_model_version(
                name, f"{run.artifact_uri}/{_ARTIFACT}", run.run_id, tags={MODEL_ID: model_id}
            )
        return _uri(version)

    @contextmanager
    def fetched(self, uri: str) -> Iterator[FetchedModel]:
        """See ModelRegistry.fetched."""
        version = self._resolved(uri)
        origin = {
            "model": _uri(version),
            "run_id": version.run_id or "",
            "model_id": (version.tags or {}).get(MODEL_ID, ""),
        }
        with TemporaryDirectory(prefix="model-") as into:
            with reached(f"fetching {_uri(version)}"):
                self._copy(version, into)
            yield FetchedModel(Path(into), origin)

    def _experiment_id(self) -> str:
        with reached(f"looking for the experiment {self._experiment}"):
            known = self._client.get_experiment_by_name(self._experiment)
            return str(self._client.create_experiment(self._experiment) if known is None else known.experiment_id)

    def _log(self, run: RunInfo, folder: Path, facts: Mapping[str, object]) -> None:
        """Log to the run and end it; one that could not be logged whole ends as failed, not as running for ever."""
        ended = "FAILED"
        try:
            self._client.log_batch(
                run.run_id,
                metrics=[Metric(key, value, run.start_time, 0) for key, value in metrics_of(facts).items()],
                params=[Param(key, value) for key, value in params_of(facts).items()],
            )
            self._client.log_artifacts(run.run_id, str(folder), _ARTIFACT)
            ended = "FINISHED"
        finally:
            self._client.set_terminated(run.run_id, ended)

    def _make(self, name: str) -> None:
        try:
            self._client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def _resolved(self, uri: str) -> ModelVersion:
        asked = registered_name(uri)
        with reached(f"looking for {uri}"):
            if asked.version:
                return self._client.get_model_version(asked.name, asked.version)
            return self._client.get_model_version_by_alias(asked.name, asked.alias or "")

    def _copy(self, version: ModelVersion, into: str) -> None:
        """Copy the files that a model of ours has, and nothing else that may lie beside them."""
        server = self._client.tracking_uri
        # not the version's source, which may name another entity of MLflow in place of where the files are
        place = self._client.get_model_version_download_uri(version.name, version.version)
        listed = {basename(one.path): one for one in list_artifacts(artifact_uri=place, tracking_uri=server)}
        _check_listed(version, listed)
        for file in BYTES_MAX.keys() & listed.keys():
            download_artifacts(artifact_uri=f"{place}/{file}", dst_path=into, tracking_uri=server)


def _uri(version: ModelVersion) -> str:
    return f"models:/{version.name}/{version.version}"


def _check_listed(version: ModelVersion, listed: Mapping[str, FileInfo]) -> None:
    """Raise UsageError for a model of somebody else's, BadModel for a file that is too large, before it is fetched."""
    if MANIFEST not in listed:
        raise UsageError(f"{_uri(version)} is not a model that stream-scorer wrote: it has no {MANIFEST}")
    for file, bytes_max in BYTES_MAX.items():
        size = listed[file].file_size or 0 if file in listed else 0  # stores need not state it
        if size > bytes_max:
            raise BadModel(f"{file} of {_uri(version)} has {size} bytes, at most {bytes_max}")
