"""What a training can be told."""

from dataclasses import dataclass
from typing import Literal

from stream_scorer.errors import UsageError

Objective = Literal["auto", "shown", "catalog"]
Switch = Literal["auto", "on", "off"]


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """Sizes, optimiser and objective of one training.

    `objective`: `shown` learns accepted from not accepted among the shown offers, `catalog` the accepted offer among the whole
    catalog, `auto` the first where there are offers that were not accepted, else the second. `prior` is the strength of the
    Gaussian prior on weights, in rows. The learning rate falls to nothing over all epochs; the last `held_out` of the rows by time
    decide which epoch is the best, and end the training when it lies `patience` epochs back.
    """

    dim: int = 32
    width: int = 16
    hidden: tuple[int, ...] = ()
    epochs: int = 12
    batch_rows: int = 2_048
    learning_rate: float = 0.004
    prior: float = 10.0
    id_dropout: float = 0.1
    patience: int = 3
    held_out: float = 0.1
    objective: Objective = "auto"
    catalog_weight: float = 0.0
    temperature: float = 0.1
    customer_id: Switch = "auto"
    offer_id: Switch = "auto"
    seed: int = 42
    threads: int = 1  # small steps gain nothing from more, and lose much on a busy machine; 0: as torch sees fit

    def __post_init__(self) -> None:
        """Raise UsageError for what is out of bounds."""
        for name, low, high in _BOUNDS:
            value = getattr(self, name)
            if not low <= value <= high:
                raise UsageError(f"{name} must be between {low} and {high}, got {value}")


_BOUNDS: tuple[tuple[str, float, float], ...] = (
    ("dim", 1, 1_024),
    ("width", 1, 1_024),
    ("epochs", 1, 10_000),
    ("batch_rows", 1, 1_000_000),
    ("learning_rate", 1e-7, 10.0),
    ("prior", 0.0, 1e9),
    ("id_dropout", 0.0, 0.9),
    ("patience", 1, 10_000),
    ("held_out", 0.0, 0.5),
    ("catalog_weight", 0.0, 100.0),
    ("temperature", 0.001, 100.0),
    ("seed", 0, 2**63 - 1),
    ("threads", 0, 1_024),
)
