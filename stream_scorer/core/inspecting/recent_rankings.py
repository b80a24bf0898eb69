"""What the latest rankings say of the ring: how long requests waited, which releases ranked, and what rules took."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stream_scorer.core.messages import Ranking

# upper edges of the bars, in seconds
WAIT_EDGES_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)


@dataclass(frozen=True, slots=True)
class Waits:
    """How long requests waited for their rankings: quantiles in seconds, and counts up to each of `WAIT_EDGES_S`.

    The last count is of those that waited longer. It is the time from the customer's event to the ranking in the log.
    """

    p50_s: float
    p90_s: float
    p99_s: float
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RankedBy:
    """What a release ranked: how many requests, and when the first and the last of them."""

    release_id: str
    rankings: int
    first_ms: int
    last_ms: int


@dataclass(frozen=True, slots=True)
class RecentRankings:
    """The latest rankings in figures; `excluded` counts offers that a rule took, `unshown` rankings without offers."""

    rankings: int
    since_ms: int
    waits: Waits
    releases: tuple[RankedBy, ...]
    unshown: int
    excluded: tuple[tuple[str, int], ...]


def recent_rankings(rankings: Sequence[Ranking], ranked_ms: Sequence[int]) -> RecentRankings | None:
    """Count rankings by the times at which they were ranked; None where there are none."""
    if not rankings:
        return None
    excluded: Counter[str] = Counter()
    for each in rankings:
        excluded.update(each.excluded)
    return RecentRankings(
        rankings=len(rankings),
        since_ms=min(ranked_ms),
        waits=_waits([at - each.event_time_ms for each, at in zip(rankings, ranked_ms, strict=True)]),
        releases=_by_release(rankings, ranked_ms),
        unshown=sum(each.status != "ranked" for each in rankings),
        excluded=tuple(excluded.most_common()),
    )


def _waits(waited_ms: Sequence[int]) -> Waits:
    # a customer's clock may be ahead of the broker's
    seconds = np.maximum(np.array(waited_ms, np.float64), 0) / 1000
    p50, p90, p99 = np.quantile(seconds, (0.5, 0.9, 0.99)).tolist()
    places = np.searchsorted(WAIT_EDGES_S, seconds)
    counts = np.bincount(places, minlength=len(WAIT_EDGES_S) + 1).tolist()
    return Waits(p50, p90, p99, tuple(counts))


def _by_release(rankings: Sequence[Ranking], ranked_ms: Sequence[int]) -> tuple[RankedBy, ...]:
    times: dict[str, list[int]] = {}
    for each, at in zip(rankings, ranked_ms, strict=True):
        times.setdefault(each.release_id, []).append(at)
    found = [RankedBy(name, len(at), min(at), max(at)) for name, at in times.items()]
    return tuple(sorted(found, key=lambda one: (-one.last_ms, one.release_id)))
