"""The registry in which a team keeps its models, by name and in numbered versions."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class FetchedModel:
    """A copy of a registered model's folder, and where it came from.

    `origin` has `model` (its `models:/NAME/VERSION`), `run_id`, and `model_id` as it was registered; "" where the
    registry states none.
    """

    folder: Path
    origin: Mapping[str, str]


class ModelRegistry(Protocol):
    """Registered models. Every method raises UsageError for what it refuses, TransientError where it doesn't answer."""

    def check(self) -> None:
        """Find out whether models can be registered, before hours of training go into one."""

    def register(self, name: str, folder: Path, model_id: str, facts: Mapping[str, object]) -> str:
        """Store a model's folder, id and facts as the next version of a name; return its `models:/NAME/VERSION`."""

    def fetched(self, uri: str) -> AbstractContextManager[FetchedModel]:
        """Copy the files of `models:/NAME/VERSION` or `models:/NAME@ALIAS`; the copy is removed on leaving.

        An alias is resolved once, so that all files are of one version. Raises BadModel for a file that is too large.
        """
