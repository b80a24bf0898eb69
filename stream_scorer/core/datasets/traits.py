"""Measures what a log of labelled rows looks like, as far as the defaults of a training depend on it."""

from dataclasses import dataclass

import numpy as np

from stream_scorer.core.datasets.training_set import TrainingSet


@dataclass(frozen=True, slots=True)
class LogTraits:
    """Size and shape of a log.

    `repeats` is the share of acceptances that repeat an earlier acceptance of the same offer by the same customer.
    `density` is the share of all pairs of a customer and an offer of the catalog that were ever accepted.
    """

    rows: int
    everything_accepted: bool
    repeats: float
    density: float


def traits_of(data: TrainingSet) -> LogTraits:
    """Measure the accepted rows, without those of offers outside the catalog."""
    place = data.catalog_of[data.offer].astype(np.int64)
    accepted = (data.accepted == 1) & (place >= 0)
    pairs = data.who[accepted].astype(np.int64) * len(data.catalog) + place[accepted]
    distinct, possible = len(np.unique(pairs)), len(np.unique(data.who)) * len(data.catalog)
    return LogTraits(
        rows=len(data),
        everything_accepted=bool(data.accepted.all()),
        repeats=1 - distinct / len(pairs) if len(pairs) else 0.0,
        density=distinct / possible if possible else 0.0,
    )
