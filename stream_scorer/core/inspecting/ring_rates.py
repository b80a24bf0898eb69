"""How fast the ring goes: rates and lag from samples of the topics' ends and of what the groups have committed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from stream_scorer.core.records import Partition


@dataclass(frozen=True, slots=True)
class RingSample:
    """What the brokers said at one moment: the end of each partition, and how far each group is behind it."""

    time_ms: int
    ends: Mapping[Partition, int]
    behind: Mapping[str, Mapping[Partition, int]]

    def written(self, topics: Sequence[str]) -> int:
        """Return the sum of the ends of these topics."""
        return sum(end for place, end in self.ends.items() if place.topic in topics)

    def lag(self, group: str) -> int:
        """Return how many offsets a group is behind in all."""
        return sum(self.behind.get(group, {}).values())

    def done(self, group: str) -> int | None:
        """Return the sum of what a group has committed, None where nothing is known of it."""
        behind = self.behind.get(group)
        if behind is None or not behind.keys() <= self.ends.keys():
            return None
        return sum(self.ends[place] - left for place, left in behind.items())


def written_per_s(samples: Sequence[RingSample], topics: Sequence[str]) -> float | None:
    """Return how many offsets a second topics grow by, from the first sample to the last; None for too few samples."""
    return _per_s([(each.time_ms, each.written(topics)) for each in samples])


def done_per_s(samples: Sequence[RingSample], group: str) -> float | None:
    """Return how many offsets a second a group commits, from the first sample to the last."""
    return _per_s([(each.time_ms, done) for each in samples if (done := each.done(group)) is not None])


def done_series(samples: Sequence[RingSample], group: str) -> list[float]:
    """Return the rate of a group between each two samples."""
    known = [(each.time_ms, done) for each in samples if (done := each.done(group)) is not None]
    return [rate for pair in pairwise(known) if (rate := _per_s(pair)) is not None]


def within(samples: Sequence[RingSample], length_ms: int) -> Sequence[RingSample]:
    """Return the samples of the last stretch of time; more than a sample where there are any before it."""
    if not samples:
        return samples
    from_ms = samples[-1].time_ms - length_ms
    first = next(number for number, each in enumerate(samples) if each.time_ms >= from_ms)
    return samples[max(0, min(first, len(samples) - 2)) :]


def stands_since_ms(samples: Sequence[RingSample], group: str) -> int | None:
    """Return since when a group has committed nothing, as far as the samples go back; None where it goes on."""
    known = [(each.time_ms, done) for each in samples if (done := each.done(group)) is not None]
    if not known:
        return None
    since_ms = None
    for time_ms, done in reversed(known):
        if done != known[-1][1]:
            break
        since_ms = time_ms
    return since_ms if since_ms != known[-1][0] else None


def _per_s(points: Sequence[tuple[int, int]]) -> float | None:
    """Return the slope, None where it cannot be told: a topic that was made anew begins at 0 again."""
    if len(points) < 2 or points[-1][0] <= points[0][0]:
        return None
    grown = points[-1][1] - points[0][1]
    return None if grown < 0 else grown * 1000 / (points[-1][0] - points[0][0])
