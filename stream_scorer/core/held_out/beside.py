"""Compares a model's figure with those of the trivial rankings, and says in words where it is not above them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

Z95 = 1.96  # a normal 95 % interval is so many standard errors wide on either side
PAIRED_MIN = 10  # customers; with fewer, differences are mostly noise


@dataclass(frozen=True, slots=True)
class Trivial:
    """A trivial ranking's figure, by how much the model is above it, and the standard error of that difference."""

    name: str
    value: float
    model_above: float
    standard_error: float

    @property
    def above_model(self) -> bool:
        """Whether it is better than the model by more than noise (95 %)."""
        return self.model_above < -Z95 * self.standard_error

    @property
    def below_model(self) -> bool:
        """Whether the model is better by more than noise (95 %)."""
        return self.model_above > Z95 * self.standard_error


@dataclass(frozen=True, slots=True)
class Beside:
    """A figure of the model over `customers` customers, and those of the trivial rankings over the same."""

    figure: str
    customers: int
    model: float
    standard_error: float
    trivial: tuple[Trivial, ...]

    @property
    def better(self) -> list[Trivial]:
        """The trivial rankings that are above the model by more than noise, best first; none for too few customers."""
        above = [one for one in self.trivial if one.above_model] if self.customers >= PAIRED_MIN else []
        return sorted(above, key=lambda one: -one.value)

    def sentences(self, of: str = "") -> Iterator[str]:
        """Yield a sentence for each trivial ranking, best first, that the model is not above by more than noise.

        Nothing is yielded for too few customers.
        """
        if self.customers < PAIRED_MIN:
            return
        for one in sorted(self.trivial, key=lambda one: -one.value):
            if not one.below_model:
                place = "is below" if one.above_model else "is not above, by more than noise,"
                figures = f"{self.figure} {self.model:.4f} against {one.value:.4f}"
                yield f"{of}the model {place} {one.name}: {figures} (± {Z95 * one.standard_error:.4f})"


def beside(figure: str, values: Mapping[str, Floats]) -> Beside:
    """Compare the figures per customer (C,) of `model` with those of each other ranking, paired by customer."""
    model = values["model"]
    others = [
        Trivial(name, _mean(other), _mean(model - other), _error(model - other))
        for name, other in values.items()
        if name != "model"
    ]
    return Beside(figure, len(model), _mean(model), _error(model), tuple(others))


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else 0.0


def _error(values: Floats) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0
