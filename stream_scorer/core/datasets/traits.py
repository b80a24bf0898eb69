"""Measures what a log of labelled rows looks like, as far as the defaults of a training depend on it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xxhash

from stream_scorer.core.datasets.chunks import ExampleChunk
from stream_scorer.core.datasets.training_set import TrainingSet

HABITS_MIN = 0.2  # from this share of repeats on, most of what can be learned is who accepts what


@dataclass(frozen=True, slots=True)
class LogTraits:
    """Size and shape of a log.

    `accepted` counts the accepted rows. `repeats` is the share of acceptances that repeat an earlier acceptance of the
    same offer by the same customer. `density` is the share of all pairs of a customer and an offer of the catalog that
    were ever accepted.
    """

    rows: int
    accepted: int
    everything_accepted: bool
    repeats: float
    density: float
    offers: int = 1  # of the catalog


def traits_of(data: TrainingSet) -> LogTraits:
    """Measure the accepted rows, without those of offers outside the catalog."""
    place = data.catalog_of[data.offer].astype(np.int64)
    accepted = (data.accepted == 1) & (place >= 0)
    pairs = data.who[accepted].astype(np.int64) * len(data.catalog) + place[accepted]
    distinct, possible = len(np.unique(pairs)), len(np.unique(data.who)) * len(data.catalog)
    return LogTraits(
        rows=len(data),
        accepted=int(data.accepted.sum()),
        everything_accepted=bool(data.accepted.all()),
        repeats=1 - distinct / len(pairs) if len(pairs) else 0.0,
        density=distinct / possible if possible else 0.0,
        offers=len(data.catalog),
    )


class RepeatCount:
    """Counts acceptances, and how many of them are the first of their pair of a customer and an offer."""

    def __init__(self) -> None:
        """Begin with nothing counted."""
        self.rows = self.accepted = 0
        self._pairs: list[npt.NDArray[np.uint64]] = []

    def add(self, chunk: ExampleChunk) -> None:
        """Count the accepted rows of a chunk; each takes 8 bytes."""
        rows = np.flatnonzero(chunk.accepted == 1)
        self.rows += len(chunk)
        self.accepted += len(rows)
        # Two seeds: with one, a customer and an offer of the same id would cancel each other out.
        customers, offers = _hashes(chunk.customers.ids, 0), _hashes(chunk.offers.ids, 1)
        self._pairs.append(customers[chunk.customer[rows]] ^ offers[chunk.offer[rows]])

    @property
    def repeats(self) -> float:
        """The share of acceptances that repeat an earlier one of the same pair; 0 where there are none."""
        if not self.accepted:
            return 0.0
        self._pairs = [np.concatenate(self._pairs)]
        return 1 - len(np.unique(self._pairs[0])) / self.accepted

    @property
    def shows_habits(self) -> bool:
        """Whether the log has acceptances alone, and many of them are repeats."""
        return self.accepted == self.rows and self.repeats >= HABITS_MIN


def _hashes(ids: Sequence[str], seed: int) -> npt.NDArray[np.uint64]:
    return np.array([xxhash.xxh3_64_intdigest(one.encode("utf-8", "surrogatepass"), seed) for one in ids], np.uint64)
