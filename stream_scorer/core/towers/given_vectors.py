"""Towers that use vectors made elsewhere: looked up by id, or carried by the request."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from stream_scorer.core.features.spec import Category, FeatureSpec, Floats, Inputs, Side, Vector
from stream_scorer.core.towers.tower import Embedded, Layer, Tensors, Tower, normalised
from stream_scorer.errors import BadModel

Places = npt.NDArray[np.int64]

_UNIT_ERROR = 1e-3  # how far from 1 a length may be after normalisation elsewhere
VECTOR = "vector"  # the feature in which a request carries its customer's vector


@dataclass(frozen=True, slots=True)
class GivenVectors:
    """Vectors (n, p) and their ids. They need not be normalised, but none may be zero."""

    ids: tuple[str, ...]
    vectors: Floats

    def __post_init__(self) -> None:
        """Raise BadModel for vectors that do not match the ids, repeated ids, and vectors not finite or zero."""
        if self.vectors.ndim != 2 or len(self.vectors) != len(self.ids) or not self.vectors.size:
            raise BadModel(f"expected vectors of one length for {len(self.ids)} ids, got shape {self.vectors.shape}")
        if len(set(self.ids)) < len(self.ids):
            raise BadModel(f"{len(self.ids) - len(set(self.ids))} of {len(self.ids)} ids are there twice")
        wrong = np.flatnonzero(~np.isfinite(self.vectors).all(axis=1) | (np.abs(self.vectors).max(axis=1) == 0))
        if wrong.size:
            raise BadModel(
                f"{wrong.size} of {len(self.ids)} vectors are zero or not finite; the first is of "
                f"{self.ids[wrong[0]]!r}"
            )

    @property
    def unit(self) -> bool:
        """Whether all vectors already have length 1, so that their dot products are cosines."""
        return bool((np.abs(np.linalg.norm(self.vectors, axis=1) - 1) <= _UNIT_ERROR).all())


@dataclass(frozen=True, slots=True)
class GivenTower(Tower):
    """A tower with given vectors for some ids, and another tower for all other ids. See Tower.

    Its inputs are those of the other tower, and a last slot that says which of the ids with a vector a row has.
    """

    given: GivenVectors
    otherwise: Tower

    def __post_init__(self) -> None:
        """Raise BadModel for given vectors of another length than the other tower's."""
        if self.given.vectors.shape[1] != self.otherwise.dim:
            raise BadModel(
                f"the vectors have {self.given.vectors.shape[1]} numbers, the tower for the rest gives "
                f"{self.otherwise.dim}"
            )

    @staticmethod
    def of(given: GivenVectors, otherwise: Tower) -> "GivenTower":
        """Return a tower that gives these vectors, normalised, and for all other ids those of `otherwise`."""
        return GivenTower.of_unit(GivenVectors(given.ids, normalised(given.vectors)), otherwise)

    @staticmethod
    def of_unit(given: GivenVectors, otherwise: Tower) -> "GivenTower":
        """Do as `of`, for vectors that are normalised already: doing it again could change their last bits."""
        which = Category("given", given.ids, from_id=True)
        spec = FeatureSpec(otherwise.spec.side, (*otherwise.spec.inputs, which))
        return GivenTower(spec, otherwise.table, otherwise.combine, otherwise.layers, given, otherwise)

    @property
    def dim(self) -> int:
        """See Tower.dim."""
        return self.otherwise.dim

    def embed(self, features: Sequence[Mapping[str, Any]], ids: Sequence[str]) -> Embedded:
        """See Tower.embed. Wrong features of an id that has a given vector are no error, since nothing reads them."""
        inputs = self.spec.encode(features, ids)
        place, _ = self._split(inputs)
        return Embedded(self.forward(inputs), tuple(error for error in inputs.errors if place[error.index] < 0))

    def forward(self, inputs: Inputs) -> Floats:
        """See Tower.forward."""
        place, rest = self._split(inputs)
        return self._with_given(self.otherwise.forward(rest), place)

    def outputs(self, inputs: Inputs) -> Floats:
        """See Tower.outputs."""
        place, rest = self._split(inputs)
        return self._with_given(self.otherwise.outputs(rest), place)

    def _with_given(self, made: Floats, place: Places) -> Floats:
        # a place of -1 looks up the last vector, which np.where then discards
        return np.where(place[:, None] >= 0, self.given.vectors[place], made)

    def _split(self, inputs: Inputs) -> tuple[Places, Inputs]:
        """Return the place (B,) of each row's given vector, -1 for none, and the inputs of the other tower."""
        starts = inputs.starts.reshape(len(inputs.numbers), len(self.spec.slots))
        last = starts[:, -1]  # a single table row each: the slot has no buckets and is no bag
        # deleting a table row from each example moves the starts of the n-th example (from 0) down by n
        rest = (starts[:, :-1] - np.arange(len(starts))[:, None]).reshape(-1)
        # the slot's first table row means an unknown id, and so becomes -1
        place = inputs.rows[last] - self.spec.first_rows[-2] - 1
        return place, Inputs(np.delete(inputs.rows, last), rest, inputs.numbers, inputs.errors)

    def tensors(self) -> Tensors:
        """See Tower.tensors."""
        return {"given": self.given.vectors} | {
            f"otherwise.{name}": array for name, array in self.otherwise.tensors().items()
        }

    def structure(self) -> dict[str, Any]:
        """See Tower.structure."""
        return {"given": list(self.given.ids), "otherwise": self.otherwise.structure()}


def offer_lookup(given: GivenVectors) -> Tower:
    """Return the item tower that looks up these vectors, normalised.

    An offer without a vector gets a zero vector, which publish refuses.
    """
    return _lookup("offer", given, np.zeros(given.vectors.shape[1]))


def customer_lookup(given: GivenVectors) -> Tower:
    """Return the user tower that looks up these vectors, normalised; an unknown customer gets their mean."""
    return _lookup("customer", given, np.asarray(normalised(given.vectors).mean(axis=0)))


def brought(dim: int, *, feature: str = VECTOR, padded: bool = False) -> Tower:
    """Return the user tower for requests that carry their customer's vector of `dim` numbers in a feature.

    With `padded` it appends a zero to that vector, to go with offers' vectors from `for_dot_products`.
    """
    spec = FeatureSpec("customer", (Vector(feature, (0.0,) * dim, (1.0,) * dim),))
    # an identity with a last row of zeros copies the vector and appends the zero
    layers = (Layer(np.eye(dim + 1, dim), np.zeros(dim + 1)),) if padded else ()
    return Tower(spec=spec, table=np.zeros((0, 1), np.float32), combine="concat", layers=layers)


def for_dot_products(offers: GivenVectors) -> GivenVectors:
    """Append sqrt(M² - |v|²) to each offer's vector (n, p), where M is the largest length: all then have length M.

    With customers' vectors to which a zero is appended, cosines order offers as the dot products did (Bachrach et al.
    2014, doi:10.1145/2645710.2645741).
    """
    lengths = np.linalg.norm(offers.vectors, axis=1)
    # rounding may leave the difference of the longest vector slightly negative
    rest = np.sqrt(np.maximum(lengths.max() ** 2 - lengths**2, 0.0))
    return GivenVectors(offers.ids, np.column_stack([offers.vectors, rest]))


def padded(customers: GivenVectors) -> GivenVectors:
    """Append a zero to each customer's vector; see `for_dot_products`."""
    return GivenVectors(customers.ids, np.column_stack([customers.vectors, np.zeros(len(customers.ids))]))


def _lookup(side: Side, given: GivenVectors, missing: Floats) -> Tower:
    """Return a tower without layers, whose table is the vectors, behind a row for ids that are missing or unknown."""
    spec = FeatureSpec(side, (Category(f"{side}_id", given.ids, from_id=True),))
    return Tower(spec=spec, table=np.vstack([missing, normalised(given.vectors)]), combine="concat", layers=())
