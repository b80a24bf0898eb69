"""A registry of models in memory, for tests."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from stream_scorer.core.towers.registered import registered_name
from stream_scorer.errors import TransientError, UsageError
from stream_scorer.ports import FetchedModel


class MemoryRegistry:
    """See ModelRegistry. `versions` and `aliases` may be changed from outside; while `away` is set, nothing answers."""

    def __init__(self) -> None:
        self.versions: dict[str, list[tuple[str, dict[str, bytes]]]] = {}
        self.aliases: dict[tuple[str, str], str] = {}
        self.away = False

    def check(self) -> None:
        """See ModelRegistry.check."""
        if self.away:
            raise TransientError("the registry is away")

    def register(self, name: str, folder: Path, model_id: str, facts: Mapping[str, object]) -> str:
        """See ModelRegistry.register."""
        self.check()
        versions = self.versions.setdefault(name, [])
        versions.append((model_id, {file.name: file.read_bytes() for file in folder.iterdir()}))
        return f"models:/{name}/{len(versions)}"

    @contextmanager
    def fetched(self, uri: str) -> Iterator[FetchedModel]:
        """See ModelRegistry.fetched."""
        self.check()
        asked = registered_name(uri)
        number = int(asked.version or self.aliases.get((asked.name, asked.alias or ""), "0"))
        versions = self.versions.get(asked.name, [])
        if not 1 <= number <= len(versions):
            raise UsageError(f"{uri} is not registered")
        model_id, files = versions[number - 1]
        with TemporaryDirectory(prefix="model-") as into:
            for file, data in files.items():
                (Path(into) / file).write_bytes(data)
            origin = {"model": f"models:/{asked.name}/{number}", "run_id": "", "model_id": model_id}
            yield FetchedModel(Path(into), origin)
