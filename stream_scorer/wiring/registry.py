"""Opens the registry of models, and models that lie in it."""

import importlib.util
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from stream_scorer.adapters.files.model_files import stated_id
from stream_scorer.errors import BadModel, UsageError
from stream_scorer.ports import FetchedModel, ModelRegistry
from stream_scorer.settings import Settings

_SCHEME = "models:/"


def model_registry(settings: Settings) -> ModelRegistry:
    """Return the registry. Raises UsageError where mlflow is not installed, or no server is named."""
    if importlib.util.find_spec("mlflow") is None:
        raise UsageError("models are registered by mlflow: pip install '.[mlflow]'")
    from stream_scorer.adapters.mlflow.registry import MlflowRegistry

    place = settings.mlflow.tracking_uri
    return MlflowRegistry(None if place is None else place.get_secret_value(), experiment=settings.mlflow.experiment)


@contextmanager
def model_folder(
    registry: Callable[[], ModelRegistry], model: Path | None
) -> Iterator[tuple[Path | None, Mapping[str, str]]]:
    """Yield the folder of a model, and where it came from; what is registered is fetched first.

    Raises as ModelRegistry.fetched does, and BadModel where the files are another model's than was registered.
    """
    if model is None or not str(model).startswith(_SCHEME):
        yield model, {}
        return
    with registry().fetched(str(model)) as fetched:
        _check_same(fetched)
        yield fetched.folder, fetched.origin


def _check_same(fetched: FetchedModel) -> None:
    registered, stated = fetched.origin["model_id"], stated_id(fetched.folder)
    if registered not in ("", stated):
        raise BadModel(f"{fetched.origin['model']} was registered as {registered}, and its files say {stated}")
