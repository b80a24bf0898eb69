"""Where publish and import-towers take towers from: a model's folder, programs, or files of vectors."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Literal

Similarity = Literal["auto", "cosine", "dot"]
NO_VECTOR_IN_REQUESTS = "a tower or --customer-vectors makes the customers' vectors, and no request brings one"

if TYPE_CHECKING:
    from stream_scorer.core.features.spec import Side
    from stream_scorer.core.towers.given_vectors import GivenVectors
    from stream_scorer.core.towers.model import Model
    from stream_scorer.core.towers.tower import Tower
    from stream_scorer.settings import Settings


@dataclass(frozen=True, slots=True)
class TowerSources:
    """Files: a model has both towers; otherwise one source is the item tower, and others may be the user tower.

    `similarity` is what vectors were trained for: `dot` keeps the order of dot products, `auto` does so unless all
    offers' vectors have length 1.
    """

    model: Path | None = None
    item_program: Path | None = None
    offer_vectors: Path | None = None
    user_program: Path | None = None
    customer_vectors: Path | None = None
    similarity: Similarity = "cosine"

    @property
    def brings_vectors(self) -> bool:
        """Return whether requests bring their own vectors: nothing here makes those of customers."""
        return self.model is None and self.user_program is None and self.customer_vectors is None

    @property
    def looks_vectors_up(self) -> bool:
        """Return whether both sides are given as vectors, so that one more number can be put to each."""
        return self.offer_vectors is not None and self.user_program is None

    def complete(self) -> bool:
        """Return whether there is exactly one item tower, and not two user towers."""
        items = [one for one in (self.model, self.item_program, self.offer_vectors) if one is not None]
        return len(items) == 1 and not (self.model and self.user_program)


def model_from(settings: "Settings", sources: TowerSources, *, vector_feature: str) -> "Model":
    """Read the towers. Customers' vectors go before the user tower; without either, requests bring their vectors.

    Raises BadModel for a program while rank.programs is `deny`.
    """
    if sources.model and not sources.customer_vectors:
        return stored_model(settings, sources.model)
    from stream_scorer.core.towers.model import model_of_towers

    if sources.offer_vectors and sources.looks_vectors_up:
        return _model_of_vectors(sources, sources.offer_vectors, vector_feature)
    model = stored_model(settings, sources.model) if sources.model else None
    item = model.item_tower if model else _item(settings, sources)
    user = _user(settings, sources, model, item.dim, vector_feature)
    facts = model.facts if model else {"engine": "given", "similarity": "cosine"}
    return model_of_towers(user, item, {**facts, "given": _named(sources)})


def _model_of_vectors(sources: TowerSources, path: Path, feature: str) -> "Model":
    """Return a model that looks vectors up.

    Cosines would change the order of dot products: one more dimension makes all offers' vectors equally long, and keeps
    it (Bachrach et al., "Speeding up the Xbox recommender system", RecSys 2014).
    """
    from stream_scorer.core.towers.given_vectors import (
        brought,
        customer_lookup,
        for_dot_products,
        offer_lookup,
        padded,
    )
    from stream_scorer.core.towers.model import model_of_towers

    offers = _vectors(path, "offer_id")
    given = _vectors(sources.customer_vectors, "customer_id") if sources.customer_vectors else None
    dot = sources.similarity == "dot" or (sources.similarity == "auto" and not offers.unit)
    item = offer_lookup(for_dot_products(offers) if dot else offers)
    if given is None:
        user = brought(offers.vectors.shape[1], feature=feature, padded=dot)
    else:
        user = customer_lookup(padded(given) if dot else given)
    similarity = "dot_product" if dot else "cosine"
    return model_of_towers(user, item, {"engine": "given", "similarity": similarity, "given": _named(sources)})


def _named(sources: TowerSources) -> dict[str, str]:
    return {one.name: str(path) for one in fields(sources) if isinstance(path := getattr(sources, one.name), Path)}


def _item(settings: "Settings", sources: TowerSources) -> "Tower":
    from stream_scorer.core.towers.given_vectors import offer_lookup

    if sources.item_program:
        return _program(settings, sources.item_program, "offer")
    assert sources.offer_vectors
    return offer_lookup(_vectors(sources.offer_vectors, "offer_id"))


def _user(settings: "Settings", sources: TowerSources, model: "Model | None", dim: int, feature: str) -> "Tower":
    from stream_scorer.core.towers.given_vectors import GivenTower, brought, customer_lookup, padded

    trained = model.user_tower if model else None
    tower = _program(settings, sources.user_program, "customer") if sources.user_program else trained
    if sources.customer_vectors is None:
        return brought(dim, feature=feature) if tower is None else tower
    given = _vectors(sources.customer_vectors, "customer_id")
    if model and model.facts.get("similarity") == "dot_product":
        given = padded(given)  # as the model's own user tower pads the vectors that requests bring
    return customer_lookup(given) if tower is None else GivenTower.of(given, tower)


def stored_model(settings: "Settings", folder: Path) -> "Model":
    """Read a model's folder. Raises BadModel for towers that are programs while rank.programs is `deny`."""
    from stream_scorer.adapters.files.model_files import read_model
    from stream_scorer.wiring.stores import program_opener

    return read_model(folder, open_program=program_opener(settings))


def _vectors(path: Path, id_column: str) -> "GivenVectors":
    from stream_scorer.adapters.files.vector_files import read_vectors

    return read_vectors(path, id_column)


def _program(settings: "Settings", path: Path, side: "Side") -> "Tower":
    from stream_scorer.errors import UsageError
    from stream_scorer.wiring.stores import program_opener

    if not path.is_file():
        raise UsageError(f"{path} is not a file: a program is a .pt2 archive of torch.export")
    data = path.read_bytes()
    if settings.rank.programs != "allow":
        program_opener(settings)(data)  # raises, and says how programs are allowed
    from stream_scorer.training.program import program_tower

    return program_tower(data, side)
