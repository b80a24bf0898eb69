"""Measures what a log of labelled rows looks like, as far as the defaults of a training depend on it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xxhash

from stream_scorer.core.datasets.chunks import ExampleChunk
from stream_scorer.core.datasets.training_set import TrainingSet

HABITS_MIN = 0.2  # from this share of repeats on, most of what can be learned is who accepts what
# Among few offers most acceptances repeat by chance, and among many a customer's features may explain repeats. So
# choices show loyalty where half of them are repeats, and a tenth of those that by chance would be none.
_LOYAL_MIN, _ABOVE_CHANCE_MIN = 0.5, 0.1

Hashes = npt.NDArray[np.uint64]


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
        self.rows = self.accepted = self._requests = 0
        self._who: list[Hashes] = []
        self._what: list[Hashes] = []

    def add(self, chunk: ExampleChunk) -> None:
        """Count the accepted rows of a chunk; each takes 16 bytes."""
        rows = np.flatnonzero(chunk.accepted == 1)
        self.rows += len(chunk)
        self.accepted += len(rows)
        # A request's rows stand side by side; where they do not, it counts often, and the log as none of choices.
        self._requests += int(np.count_nonzero(np.diff(chunk.request))) + 1 if len(chunk) else 0
        # Two seeds: with one, a customer and an offer of the same id would cancel each other out.
        customers, offers = _hashes(chunk.customers.ids, 0), _hashes(chunk.offers.ids, 1)
        self._who.append(customers[chunk.customer[rows]])
        self._what.append(offers[chunk.offer[rows]])

    @property
    def repeats(self) -> float:
        """The share of acceptances that repeat an earlier one of the same pair; 0 where there are none."""
        if not self.accepted:
            return 0.0
        return 1 - len(np.unique(np.concatenate(self._who) ^ np.concatenate(self._what))) / self.accepted

    @property
    def shows_habits(self) -> bool:
        """Whether the log has acceptances alone, and many of them are repeats."""
        return self.accepted == self.rows and self.repeats >= HABITS_MIN

    @property
    def shows_loyalty(self) -> bool:
        """Whether the log is of choices among several offers, and most are repeats, more of them than by chance."""
        choices = self._requests / 2 <= self.accepted <= self._requests < self.rows / 2
        if not choices or (repeats := self.repeats) < _LOYAL_MIN:
            return False
        chance = _repeats_by_chance(*map(np.concatenate, (self._who, self._what)))
        return repeats - chance >= _ABOVE_CHANCE_MIN * (1 - chance)


def _repeats_by_chance(who: Hashes, what: Hashes) -> float:
    """Return the share of repeats to expect if all customers drew their offers by popularity."""
    share = np.unique(what, return_counts=True)[1] / len(what)
    sizes, customers = np.unique(np.unique(who, return_counts=True)[1], return_counts=True)
    distinct = [float((1 - (1 - share) ** size).sum()) for size in sizes]  # offers that so many draws reach
    return 1 - float(customers @ distinct) / len(who)


def _hashes(ids: Sequence[str], seed: int) -> Hashes:
    return np.array([xxhash.xxh3_64_intdigest(one.encode("utf-8", "surrogatepass"), seed) for one in ids], np.uint64)
