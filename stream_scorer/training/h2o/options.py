"""The options of a training in H2O."""

from dataclasses import dataclass
from typing import Literal

from stream_scorer.errors import UsageError

H2oActivation = Literal[
    "rectifier", "tanh", "maxout", "rectifier_with_dropout", "tanh_with_dropout", "maxout_with_dropout"
]


@dataclass(frozen=True, slots=True)
class H2oOptions:
    """The settings of a training in H2O, where each tower has one hidden layer of `dim` units.

    Training stops when the AUC has not improved by `stopping_tolerance`, relative, for `stopping_rounds` scorings.
    `held_out` is the share of requests that training does not see; `heap_bytes` bounds the heap of the JVM.
    """

    dim: int = 32
    activation: H2oActivation = "rectifier"
    epochs: int = 5
    held_out: float = 0.2
    stopping_rounds: int = 3
    stopping_tolerance: float = 0.001
    seed: int = 42
    threads: int = 1
    heap_bytes: int = 2**31

    def __post_init__(self) -> None:
        """Raise UsageError for the first option that is out of its bounds."""
        for name, low, high in _BOUNDS:
            value = getattr(self, name)
            if not low <= value <= high:
                raise UsageError(f"{name} must be between {low} and {high}, got {value}")


_BOUNDS: tuple[tuple[str, float, float], ...] = (
    ("dim", 1, 1_024),
    ("epochs", 1, 10_000),
    ("held_out", 0.01, 0.5),
    ("stopping_rounds", 0, 1_000),
    ("stopping_tolerance", 0.0, 1.0),
    ("seed", 0, 2**63 - 1),
    ("threads", 1, 1_024),
    ("heap_bytes", 2**28, 2**50),
)
