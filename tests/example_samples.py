"""Small worlds of labelled examples whose right answer is obvious, that tests of training share."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stream_scorer.core.datasets.chunks import ExampleChunk, Views
from stream_scorer.core.messages import Offer

TASTES = ("sweet", "salty", "sour")


@dataclass(frozen=True, slots=True)
class Chunks:
    """See ExampleSource."""

    parts: tuple[ExampleChunk, ...]

    def chunks(self) -> Iterator[ExampleChunk]:
        yield from self.parts


def chunk(customers: Views, offers: Views, rows: Sequence[tuple[int, int, int]], **columns: Any) -> ExampleChunk:
    """Make a chunk of rows (customer, offer, accepted), each its own request at its own time."""
    count = len(rows)
    table = np.array(rows, np.int64).reshape(-1, 3)
    made: dict[str, Any] = {
        "request": np.arange(1, count + 1, dtype=np.uint64),
        "rank": np.ones(count, np.int64),
        "score": np.full(count, np.nan),
        "propensity": np.full(count, np.nan),
        "weight": np.ones(count),
        "request_time_ms": np.arange(count, dtype=np.int64) + 1_000,
        "label_time_ms": np.zeros(count, np.int64),
        "shown": np.ones(count, np.bool_),
        "tower_rank": np.zeros(count, np.int64),
        "customer": table[:, 0],
        "offer": table[:, 1],
        "accepted": table[:, 2].astype(np.int8),
    }
    return ExampleChunk(customers=customers, offers=offers, **{**made, **columns})


def snacks() -> list[Offer]:
    """Return twelve offers, four of each taste."""
    return [
        Offer(offer_id=f"snack-{number}", features={"taste": TASTES[number % 3], "price": float(number)})
        for number in range(12)
    ]


def tastes_meet(rows: int = 3_000, seed: int = 0, *, only_accepted: bool = False) -> Chunks:
    """Draw a world in which customers accept offers of their own taste, and hardly any other."""
    rng = np.random.default_rng(seed)
    customers = Views(
        [f"c-{row}" for row in range(60)], [{"likes": TASTES[row % 3], "age": float(row)} for row in range(60)]
    )
    offers = Views([offer.offer_id for offer in snacks()], [offer.features for offer in snacks()])
    customer, offer = rng.integers(60, size=rows), rng.integers(12, size=rows)
    accepted = rng.random(rows) < np.where(customer % 3 == offer % 3, 0.6, 0.03)
    drawn = np.column_stack([customer, offer, accepted])
    if only_accepted:
        drawn = drawn[accepted]
    return Chunks((chunk(customers, offers, [(int(a), int(b), int(c)) for a, b, c in drawn]),))
