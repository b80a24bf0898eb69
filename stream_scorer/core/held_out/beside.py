"""A model's figure beside those of the trivial rankings, and in words where it is not above them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_Z95 = 1.96
_PAIRED_MIN = 10  # customers; of fewer nothing is said


@dataclass(frozen=True, slots=True)
class Trivial:
    """A trivial ranking's figure, by how much the model is above it, and the standard error of that difference."""

    name: str
    value: float
    model_above: float
    standard_error: float

    @property
    def above_model(self) -> bool:
        """Whether it is better than the model by more than noise."""
        return self.model_above < -_Z95 * self.standard_error

    @property
    def below_model(self) -> bool:
        """Whether the model is better by more than noise."""
        return self.model_above > _Z95 * self.standard_error


@dataclass(frozen=True, slots=True)
class Beside:
    """A figure of the model over `customers`, and what the trivial rankings reach on the same."""

    figure: str
    customers: int
    model: float
    standard_error: float
    trivial: tuple[Trivial, ...]

    def sentences(self, of: str = "") -> Iterator[str]:
        """Say where the model is below a trivial ranking, or not above it by more than noise."""
        if self.customers < _PAIRED_MIN:
            return
        for one in sorted(self.trivial, key=lambda one: -one.value):
            if not one.below_model:
                place = "is below" if one.above_model else "is not above, by more than noise,"
                figures = f"{self.figure} {self.model:.4f} against {one.value:.4f}"
                yield f"{of}the model {place} {one.name}: {figures} (± {_Z95 * one.standard_error:.4f})"


def beside(figure: str, values: Mapping[str, Floats]) -> Beside:
    """Compare figures per customer (C,), those of `model` with all others, pair by pair."""
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
