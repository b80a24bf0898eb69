"""Vectors that were made elsewhere, as towers: an offer's is looked up by its id; a customer's too, or the request brings it."""

from dataclasses import dataclass

import numpy as np

from stream_scorer.core.features import Category, FeatureSpec, Floats, Side, Vector
from stream_scorer.core.release import Model
from stream_scorer.core.tower import Tower, digest_towers, normalised
from stream_scorer.errors import BadModel

VECTOR = "vector"  # the feature in which a request brings its customer's vector


@dataclass(frozen=True, slots=True)
class GivenVectors:
    """Vectors (n, p) by id, of any length but zero."""

    ids: tuple[str, ...]
    vectors: Floats

    def __post_init__(self) -> None:
        """Raise BadModel for what cannot be looked up."""
        if self.vectors.ndim != 2 or len(self.vectors) != len(self.ids) or not self.vectors.size:
            raise BadModel(f"expected vectors of one length for {len(self.ids)} ids, got shape {self.vectors.shape}")
        if len(set(self.ids)) < len(self.ids):
            raise BadModel(f"{len(self.ids) - len(set(self.ids))} of {len(self.ids)} ids are there twice")
        wrong = np.flatnonzero(~np.isfinite(self.vectors).all(axis=1) | (np.abs(self.vectors).max(axis=1) == 0))
        if wrong.size:
            raise BadModel(f"{wrong.size} of {len(self.ids)} vectors are zero or not finite; the first is of {self.ids[wrong[0]]!r}")


def model_of_vectors(offers: GivenVectors, customers: GivenVectors | None, *, feature: str = VECTOR) -> Model:
    """Return a model that gives these vectors, brought to length 1; without customers' the request brings its own in `feature`.

    A customer who has none is taken for an average one, the mean of those given. An offer that has none gets a zero vector, which
    publish refuses. Raises BadModel for vectors of unequal dimensions.
    """
    item_tower = _lookup("offer", offers, np.zeros(offers.vectors.shape[1]))
    user_tower = _brought(feature, item_tower.dim) if customers is None else _lookup("customer", customers, _mean(customers))
    if user_tower.dim != item_tower.dim:
        raise BadModel(f"customers' vectors have {user_tower.dim} numbers, offers' {item_tower.dim}")
    facts = {"engine": "vectors", "offer_vectors": len(offers.ids), "customer_vectors": 0 if customers is None else len(customers.ids)}
    return Model(digest_towers(user_tower, item_tower), user_tower, item_tower, facts)


def _lookup(side: Side, given: GivenVectors, missing: Floats) -> Tower:
    """Return a tower without layers: its table is the vectors."""
    spec = FeatureSpec(side, (Category(f"{side}_id", given.ids, from_id=True),))
    return Tower(spec=spec, table=np.vstack([missing, normalised(given.vectors)]), combine="concat", layers=())


def _brought(feature: str, dim: int) -> Tower:
    spec = FeatureSpec("customer", (Vector(feature, (0.0,) * dim, (1.0,) * dim),))
    return Tower(spec=spec, table=np.zeros((0, 1), np.float32), combine="concat", layers=())


def _mean(given: GivenVectors) -> Floats:
    return np.asarray(normalised(given.vectors).mean(axis=0))
