"""The ring at this moment: how far each job is behind, how fast it goes, and whether that is a reason to act."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from stream_scorer.core.inspecting.ring_rates import (
    RingSample,
    done_per_s,
    done_series,
    stands_since_ms,
    within,
    written_per_s,
)
from stream_scorer.core.records import Partition
from stream_scorer.ports import Clock, LogReader, TopicAdmin
from stream_scorer.services.operating.doctor import Finding

_SAMPLES_MAX = 360  # an hour of a page that is open
_RATE_MS = 60_000
_STANDS_MS = 60_000
_GROWS_MS = 300_000
_GROWS_RECORDS = 1_000
_LOOKED_INTO_MAX = 8


@dataclass(frozen=True, slots=True)
class WatchedJob:
    """A job of the ring: its consumer group, the topics that it reads, and how long records may rightly wait there.

    `paced` is whether the group's offsets say how far the job's work is done; without a `needed` job there are no
    rankings or no labels.
    """

    name: str
    group: str
    topics: Sequence[str]
    may_wait_ms: int = 0
    paced: bool = True
    needed: bool = False


@dataclass(frozen=True, slots=True)
class JobNow:
    """How a job does. `lag` counts offsets; `unread_ms` is the time of the oldest record that it has not read.

    Rates are over the last minute, None where they are not known yet; `series` has those between all samples.
    """

    job: WatchedJob
    members: int
    lag: int
    unread_ms: int | None
    done_per_s: float | None
    arriving_per_s: float | None
    stands_since_ms: int | None
    grown_by: int
    series: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class TopicNow:
    """How large a topic has become, in offsets, and how fast it grows."""

    name: str
    partitions: int
    offsets: int
    per_s: float | None


@dataclass(frozen=True, slots=True)
class RingNow:
    """The jobs and topics, and since when samples have been taken."""

    jobs: tuple[JobNow, ...]
    topics: tuple[TopicNow, ...]
    since_ms: int
    now_ms: int


class RingSampler:
    """Takes a sample at each `read`, and keeps the last 360."""

    def __init__(
        self, admin: TopicAdmin, reader: LogReader, jobs: Sequence[WatchedJob], topics: Sequence[str], clock: Clock
    ) -> None:
        self._admin, self._reader, self._clock = admin, reader, clock
        self._jobs, self._topics = jobs, topics
        self._samples: deque[RingSample] = deque(maxlen=_SAMPLES_MAX)

    def read(self) -> RingNow:
        """Ask the brokers. Raises NotReady and TransientError when they do not answer."""
        # positions before ends: a group cannot seem to be ahead of what is there
        behind = {job.group: self._admin.lag(job.group, job.topics) for job in self._jobs}
        now_ms = self._clock.now_ms()
        self._samples.append(RingSample(now_ms, self._admin.ends(self._topics), behind))
        samples = list(self._samples)
        return RingNow(
            tuple(self._job(job, samples) for job in self._jobs),
            tuple(_topic(name, samples) for name in self._topics),
            samples[0].time_ms,
            now_ms,
        )

    def _job(self, job: WatchedJob, samples: Sequence[RingSample]) -> JobNow:
        newest, minute, longer = samples[-1], within(samples, _RATE_MS), within(samples, _GROWS_MS)
        return JobNow(
            job,
            self._admin.members(job.group),
            newest.lag(job.group),
            self._unread_ms(newest, job.group),
            done_per_s(minute, job.group),
            written_per_s(minute, job.topics),
            stands_since_ms(samples, job.group),
            newest.lag(job.group) - longer[0].lag(job.group),
            tuple(done_series(samples, job.group)),
        )

    def _unread_ms(self, sample: RingSample, group: str) -> int | None:
        """Return the time of the oldest unread record, of the partitions that are most behind.

        There may be none where a group is behind: the markers that end transactions have offsets, too.
        """
        behind = sample.behind[group]
        most = sorted((place for place in behind if behind[place] > 0), key=lambda place: (-behind[place], place))
        times = [self._first_ms(sample, place, behind) for place in most[:_LOOKED_INTO_MAX]]
        return min((each for each in times if each is not None), default=None)

    def _first_ms(self, sample: RingSample, place: Partition, behind: Mapping[Partition, int]) -> int | None:
        end = sample.ends.get(place, 0)
        batches = self._reader.read(place, max(0, end - behind[place]), end)
        first = next(iter(batches), None)
        return first[0].timestamp_ms if first else None


def _topic(name: str, samples: Sequence[RingSample]) -> TopicNow:
    ends = [end for place, end in samples[-1].ends.items() if place.topic == name]
    return TopicNow(name, len(ends), sum(ends), written_per_s(within(samples, _RATE_MS), [name]))


def pace_findings(ring: RingNow) -> Iterator[Finding]:
    """Yield, as the doctor does, what its single look cannot see: a job that stands still, or falls behind."""
    for now in ring.jobs:
        if now.job.needed and not (now.members or now.lag):
            says = "nobody works in this group: what comes will wait"
            yield Finding(now.job.group, "warning", says, f"stream-scorer {now.job.name}")
        if not (now.job.paced and now.members) or now.unread_ms is None:
            continue
        waits_ms = ring.now_ms - now.unread_ms - now.job.may_wait_ms
        stands_ms = 0 if now.stands_since_ms is None else ring.now_ms - now.stands_since_ms
        if min(waits_ms, stands_ms) >= _STANDS_MS:
            says = f"{now.lag:,} records wait, and the group has committed nothing for {stands_ms // 1000} s"
            do = f"look at /livez, /readyz and the log of each {now.job.name} worker; restart one that is not live"
            yield Finding(now.job.group, "fault", says, do)
        elif waits_ms >= _STANDS_MS and now.grown_by >= _GROWS_RECORDS:
            says = f"falls behind: {now.lag:,} records wait, {now.grown_by:,} more than some minutes ago"
            do = f"start more {now.job.name} workers, up to one a partition"
            yield Finding(now.job.group, "warning", says, do)
