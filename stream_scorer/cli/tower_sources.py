"""What publish takes towers from: a model's folder, programs, or files of vectors."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stream_scorer.core.towers.given_vectors import GivenVectors
    from stream_scorer.core.towers.model import Model
    from stream_scorer.core.towers.tower import Tower


@dataclass(frozen=True, slots=True)
class TowerSources:
    """Files; a model holds both towers, else there is one for the offers' and maybe some for the customers'."""

    model: Path | None = None
    item_program: Path | None = None
    offer_vectors: Path | None = None
    user_program: Path | None = None
    customer_vectors: Path | None = None

    def named(self) -> bool:
        """Say whether any was."""
        return any(getattr(self, one.name) is not None for one in fields(self))

    def complete(self) -> bool:
        """Say whether there is one item tower, and not two user towers."""
        items = [one for one in (self.model, self.item_program, self.offer_vectors) if one is not None]
        return len(items) == 1 and not (self.model and self.user_program)


def model_from(sources: TowerSources, *, vector_feature: str) -> "Model":
    """Read the towers. Customers' vectors go before a user tower; without either, a request brings its own vector."""
    if sources.model and not sources.customer_vectors:
        return stored_model(sources.model)
    from stream_scorer.core.towers.model import model_of_towers

    model = stored_model(sources.model) if sources.model else None
    item = model.item_tower if model else _item(sources)
    user = _user(sources, model.user_tower if model else None, item.dim, vector_feature)
    named = {
        one.name: str(getattr(sources, one.name)) for one in fields(sources) if getattr(sources, one.name) is not None
    }
    return model_of_towers(user, item, {**(model.facts if model else {"engine": "given"}), "given": named})


def _item(sources: TowerSources) -> "Tower":
    from stream_scorer.core.towers.given_vectors import offer_lookup

    if sources.item_program:
        return _program(sources.item_program, "offer")
    assert sources.offer_vectors
    return offer_lookup(_vectors(sources.offer_vectors, "offer_id"))


def _user(sources: TowerSources, trained: "Tower | None", dim: int, feature: str) -> "Tower":
    from stream_scorer.core.towers.given_vectors import GivenTower, brought, customer_lookup

    tower = _program(sources.user_program, "customer") if sources.user_program else trained
    if sources.customer_vectors is None:
        return brought(dim, feature=feature) if tower is None else tower
    given = _vectors(sources.customer_vectors, "customer_id")
    return customer_lookup(given) if tower is None else GivenTower.of(given, tower)


def stored_model(folder: Path) -> "Model":
    """Read a model's folder, whatever its towers are."""
    from stream_scorer.adapters.files.model_files import read_model
    from stream_scorer.wiring import open_program

    return read_model(folder, open_program=open_program)


def _vectors(path: Path, id_column: str) -> "GivenVectors":
    from stream_scorer.adapters.files.vector_files import read_vectors

    return read_vectors(path, id_column)


def _program(path: Path, side: str) -> "Tower":
    from stream_scorer.errors import UsageError
    from stream_scorer.training.program import program_tower

    if not path.is_file():
        raise UsageError(f"{path} is not a file: a program is a .pt2 archive of torch.export")
    return program_tower(path.read_bytes(), "customer" if side == "customer" else "offer")
