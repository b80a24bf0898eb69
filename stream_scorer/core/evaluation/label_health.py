"""Measures how healthy labels are: how many answers join, how late, of which kind; and when to hold retraining."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from stream_scorer.core.messages import LabelledRanking
from stream_scorer.core.verifying.judgements import Judged

Ints = npt.NDArray[np.integer[Any]]
_Label = tuple[int | None, str | None, int | None]  # accepted, cause, time

QUANTILES = (0.5, 0.9, 0.99)
_PER_OCTAVE = 16  # buckets for each doubling of the delay: a quantile is right to 2.2 %


@dataclass(frozen=True, slots=True)
class LabelHealth:
    """Figures about the labels of a stretch of the topics.

    `joined_share` is the share of settled answers that count in a label. `delay_ms` has quantiles of the time from
    request to acceptance. `orphans` counts the answers that count nowhere, by the code of their dead letter.
    `negatives_per_positive` is over the labels that are known. `acceptance_rate` is, per release, the share of the
    requests with a closed window that have an accepted offer.
    """

    joined_share: float | None
    delay_ms: Mapping[str, int]
    orphans: Mapping[str, int]
    causes: Mapping[str, int]
    negatives_per_positive: float | None
    acceptance_rate: Mapping[str, float]


@dataclass(slots=True)
class HealthTally:
    """Adds up LabelHealth request by request; its memory is bounded by the releases and the buckets of delay."""

    joined: int = 0
    orphans: Counter[str] = field(default_factory=Counter)
    causes: Counter[str] = field(default_factory=Counter)
    _delays: Counter[int] = field(default_factory=Counter)
    _closed: Counter[str] = field(default_factory=Counter)
    _accepted: Counter[str] = field(default_factory=Counter)

    def add(self, judged: Judged) -> None:
        """Count what is known of a request."""
        ranking, latest = judged.ranking, judged.latest
        self.joined += judged.joined - judged.waiting
        if ranking is None or latest is None:
            return
        self._labels(ranking.release_id, ranking.time_ms, latest.labels, final=latest.final)

    def add_labels(self, latest: LabelledRanking) -> None:
        """Count the latest revision of a request's labels, where nothing else is known of the request."""
        labels = [(each.accepted, each.cause, each.label_time_ms) for each in latest.offers]
        self._labels(latest.release_id, latest.request_time_ms, labels, final=latest.final)

    def _labels(self, release_id: str, time_ms: int, labels: Sequence[_Label], *, final: bool) -> None:
        self.causes.update(cause for _, cause, _ in labels if cause is not None)
        for accepted, _, label_ms in labels:
            if accepted and label_ms is not None:
                self._delays[_bucket(label_ms - time_ms)] += 1
        if final:
            self._closed[release_id] += 1
            self._accepted[release_id] += any(accepted for accepted, _, _ in labels)

    def closed(self) -> "dict[str, Stretch]":
        """Return, by release, the requests with a closed window, and how many of them have an accepted offer."""
        return {release: Stretch(count, self._accepted[release]) for release, count in self._closed.items()}

    def health(self) -> LabelHealth:
        """Return the figures."""
        positives = self.causes["accepted"] + self.causes["late_acceptance"]
        negatives = self.causes["declined"] + self.causes["window_closed"]
        settled = self.joined + self.orphans.total()
        return LabelHealth(
            joined_share=self.joined / settled if settled else None,
            delay_ms=self._quantiles(),
            orphans=dict(self.orphans),
            causes=dict(self.causes),
            negatives_per_positive=negatives / positives if positives else None,
            acceptance_rate={
                release: self._accepted[release] / closed for release, closed in sorted(self._closed.items())
            },
        )

    def _quantiles(self) -> dict[str, int]:
        total = self._delays.total()
        found: dict[str, int] = {}
        below = 0
        for bucket in sorted(self._delays):
            below += self._delays[bucket]
            for quantile in QUANTILES:
                if below >= quantile * total:
                    found.setdefault(f"p{round(quantile * 100)}", _delay(bucket))
        return found


def _bucket(delay_ms: int) -> int:
    # An answer may state a time a little before its request, such as by a slow clock: that counts as no delay.
    return round(math.log2(max(delay_ms, 0) + 1) * _PER_OCTAVE)


def _delay(bucket: int) -> int:
    return round(2 ** (bucket / _PER_OCTAVE)) - 1


class Stretch(NamedTuple):
    """Requests of a stretch of time, and how many had an acceptance."""

    requests: int
    accepted: int


def stretches(request: Ints, accepted: Ints, request_time_ms: Ints, *, length_ms: int) -> list[Stretch]:
    """Count requests and those with an acceptance, by stretches of time; the last ends with the newest request.

    The columns (n,) are those of examples; equal values of `request` mean the same request. Callers must leave out
    requests whose windows may still be open: so far only their answered offers are examples.
    """
    if not len(request):
        return []
    _, first, index = np.unique(request, return_index=True, return_inverse=True)
    with_acceptance = np.bincount(index, weights=accepted) > 0  # (requests,)
    times = request_time_ms[first]
    # Stretches are counted back from the newest request, and reversed into the order of time.
    back = (times.max() - times) // length_ms
    counts = np.bincount(back)[::-1]
    hits = np.bincount(back, weights=with_acceptance)[::-1]
    return [Stretch(int(count), int(hit)) for count, hit in zip(counts, hits, strict=True)]


def reason_to_hold(
    recent: Sequence[Stretch],
    now: Stretch,
    *,
    least_share: float = 0.5,
    chance_max: float = 1e-3,
    requests_min: int = 100,
) -> str | None:
    """Return why retraining must be held, None when it need not be.

    It is held when acceptances have gone quiet against their own recent rate: fewer than `least_share` of what that
    rate leads to expect, and so few that chance alone (Poisson) would do it less often than `chance_max`. Too few new
    requests hold it as well; too few recent requests do not, since they give no rate to compare with.
    """
    before = Stretch(sum(one.requests for one in recent), sum(one.accepted for one in recent))
    if before.requests < requests_min:
        return None
    if now.requests < requests_min:
        return f"requests have gone quiet: {now.requests}, where at least {requests_min} are needed to judge"
    expected = before.accepted / before.requests * now.requests
    if now.accepted >= least_share * expected or _chance_of_at_most(now.accepted, expected) > chance_max:
        return None
    return (
        f"acceptances have gone quiet: {now.accepted} of {now.requests} requests, where the recent rate of "
        f"{before.accepted / before.requests:.3%} makes {expected:.0f} expected"
    )


def _chance_of_at_most(count: int, expected: float) -> float:
    """Return P(X <= count) of a Poisson variable."""
    # In logarithms, since powers and factorials of large counts overflow.
    log_terms = (one * math.log(expected) - expected - math.lgamma(one + 1) for one in range(count + 1))
    return min(1.0, sum(map(math.exp, log_terms)))
