"""Counts of what simulated customers saw and accepted, by release, by second and by latency."""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import sqrt

import numpy as np

from stream_scorer.core.held_out.beside import Z95
from stream_scorer.core.messages import Ranking

LAST_RANKINGS = 6
RECENT_S = 10


@dataclass(frozen=True, slots=True)
class SeenRanking:
    """A ranking that reached its customer: its latency, whether anything was accepted, and how likely that was."""

    ranking: Ranking
    latency_ms: int
    seen_ms: int
    accepted: bool
    expected: float


@dataclass(frozen=True, slots=True)
class Rate:
    """Of `shown` rankings, those with an acceptance."""

    shown: int
    accepted: int

    @property
    def value(self) -> float:
        """Return the acceptance rate, 0 when nothing was shown."""
        return self.accepted / self.shown if self.shown else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Return Wilson's 95 % interval (E. B. Wilson, 1927)."""
        if not self.shown:
            return 0.0, 1.0
        spread = Z95**2 / self.shown
        middle = (self.value + spread / 2) / (1 + spread)
        half = Z95 / (1 + spread) * sqrt(self.value * (1 - self.value) / self.shown + spread / (4 * self.shown))
        return max(0.0, middle - half), min(1.0, middle + half)


@dataclass
class ReleaseTally:
    """A release's figures, from its first ranking on."""

    release_id: str
    first_seen_ms: int
    shown: int = 0
    accepted: int = 0
    expected: float = 0.0

    @property
    def rate(self) -> Rate:
        """Return what was accepted."""
        return Rate(self.shown, self.accepted)

    @property
    def expected_rate(self) -> float:
        """Return the acceptance rate that the known odds give its rankings, free of the luck of the draw."""
        return self.expected / self.shown if self.shown else 0.0


@dataclass(frozen=True, slots=True)
class Second:
    """Rankings seen in one second of the traffic; `at_s` since its start."""

    at_s: int
    shown: int
    accepted: int


@dataclass
class Tally:
    """All figures since the first ranking."""

    started_ms: int = 0
    releases: dict[str, ReleaseTally] = field(default_factory=dict)
    latencies_ms: list[int] = field(default_factory=list)
    last: deque[SeenRanking] = field(default_factory=lambda: deque(maxlen=LAST_RANKINGS))
    statuses: Counter[str] = field(default_factory=Counter)
    _shown: Counter[int] = field(default_factory=Counter)
    _accepted: Counter[int] = field(default_factory=Counter)
    _latencies: dict[int, list[int]] = field(default_factory=dict)

    def add(self, seen: Sequence[SeenRanking]) -> None:
        """Count rankings."""
        if seen and not self.started_ms:
            self.started_ms = seen[0].seen_ms
        for one in seen:
            second = (one.seen_ms - self.started_ms) // 1_000
            release = self.releases.setdefault(
                one.ranking.release_id, ReleaseTally(one.ranking.release_id, one.seen_ms)
            )
            release.shown += 1
            release.accepted += one.accepted
            release.expected += one.expected
            self.statuses[one.ranking.status] += 1
            self.latencies_ms.append(one.latency_ms)
            self._latencies.setdefault(second, []).append(one.latency_ms)
            self._shown[second] += 1
            self._accepted[second] += one.accepted
        self.last.extend(seen)

    def name_of(self, release_id: str) -> str:
        """Name a release by its place in the order of first rankings: release 1, release 2 and so on."""
        return f"release {list(self.releases).index(release_id) + 1}"

    def seconds_at(self, now_ms: int) -> float:
        """Return the seconds since the first ranking, 0 before it."""
        return (now_ms - self.started_ms) / 1_000 if self.started_ms else 0.0

    def seconds(self) -> list[Second]:
        """Return the series, every second from the first to the last."""
        return [
            Second(at_s, self._shown[at_s], self._accepted[at_s]) for at_s in range(max(self._shown, default=-1) + 1)
        ]

    def recent_rate(self, now_ms: int) -> Rate:
        """Return the rate of the last `RECENT_S` seconds."""
        now_s = (now_ms - self.started_ms) // 1_000
        window = range(now_s - RECENT_S, now_s + 1)
        return Rate(sum(self._shown[at_s] for at_s in window), sum(self._accepted[at_s] for at_s in window))

    def recent_latency_ms(self, now_ms: int) -> tuple[float, float]:
        """Return p50 and p99 of the last `RECENT_S` seconds."""
        now_s = (now_ms - self.started_ms) // 1_000
        return percentiles(
            [latency for at_s in range(now_s - RECENT_S, now_s + 1) for latency in self._latencies.get(at_s, ())]
        )

    def latency_ms(self) -> tuple[float, float]:
        """Return p50 and p99 of all."""
        return percentiles(self.latencies_ms)


def percentiles(latencies_ms: Sequence[int]) -> tuple[float, float]:
    """Return p50 and p99, zeros for none."""
    if not latencies_ms:
        return 0.0, 0.0
    p50, p99 = np.percentile(np.array(latencies_ms), (50, 99))
    return float(p50), float(p99)
