"""The metrics of Prometheus by name."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from stream_scorer.core.features.coverage import FeatureCoverage
from stream_scorer.core.joining.written_labels import LabelTally
from stream_scorer.core.messages import ReleaseId
from stream_scorer.core.ranking.recall import Recall
from stream_scorer.core.records import Partition
from stream_scorer.health import Health, note_version, process_registry, serve_pages
from stream_scorer.ports import BatchReport, Clock, Fetched, IndexFault, Operation
from stream_scorer.settings import MetricsSettings
from stream_scorer.telemetry.delays import DelayHistogram
from stream_scorer.telemetry.messaging import SECONDS, MessagingMetrics

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

RELEASES_MAX = 50

_RECORDS = (1, 4, 16, 64, 128, 256, 512, 1024, 4096, 16384)


class PrometheusTelemetry:
    """See Telemetry. The metrics of one process, in a registry of its own."""

    def __init__(self, registry: "CollectorRegistry", *, health: Health, clock: Clock, group: str = "") -> None:
        """Register all metrics; `group` is the consumer group of this process's job, where it has one."""
        from prometheus_client import Counter, Gauge, Histogram

        self._health = health
        self._caught_up_ms: dict[tuple[str, Partition], int] = {}
        self._unread_since_ms: dict[tuple[str, str, str], int | None] = {}
        self._clock = clock
        self._release: ReleaseId | None = None
        self._read: dict[str, tuple[str, ...]] = {}
        self._created_ms = 0

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"stream_scorer_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"stream_scorer_{name}", text, labels, registry=registry)

        def histogram(name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
            return Histogram(f"stream_scorer_{name}", text, labels, registry=registry, buckets=buckets)

        note_version(registry)
        self._messaging = MessagingMetrics(registry, group=group)
        self._consumed = counter(
            "records_consumed_total",
            "Records read, each once: counted when its batch is committed",
            "ring_job",
            "topic",
        )
        self._produced = counter(
            "records_produced_total", "Records written, counted when their batch is committed", "ring_job", "topic"
        )
        self._dead = counter(
            "dead_letters_total",
            "Records that can never be processed, by source topic and reason",
            "ring_job",
            "topic",
            "code",
        )
        self._batch = histogram("batch_records", "Records of a batch", _RECORDS, "ring_job")
        self._oldest = histogram(
            "end_to_end_seconds", "Age of a batch's oldest record when its outputs were written", SECONDS, "ring_job"
        )
        self._aborted = counter(
            "batches_aborted_total", "Batches of which nothing was written, to be read again", "ring_job"
        )
        self._expired = counter(
            "records_expired_unread_total",
            "Records, at most, that retention took before the job had read them",
            "ring_job",
            "topic",
            "partition",
        )
        self._rebalances = counter("rebalances_total", "Changes of the assigned partitions", "ring_job")
        self._partitions = gauge("partitions", "Assigned partitions", "ring_job")
        self._lag = gauge(
            "lag_records", "Offsets between the position and the end of a partition", "ring_job", "topic", "partition"
        )
        self._lag_s = gauge(
            "lag_seconds",
            "Age, at most, of the oldest record of a partition that is not read, as of when it is asked for",
            "ring_job",
            "topic",
            "partition",
        )
        self._held = gauge(
            "release_info",
            "1 for the release in memory; `forced` is true where it was published although the gate refused it",
            "release_id",
            "forced",
        )
        self._features = counter(
            "features_total",
            "Values of features by state: read, missing, other_kind; those that the model does not read have no name",
            "side",
            "feature",
            "state",
        )
        self._index_offers = counter(
            "index_offers_total",
            "Best offers of the sampled requests, by whether the index found them: the recall is found / all",
            "outcome",
        )
        self._index_faults = gauge(
            "index_given_up",
            "1 where requests are ranked exactly though the release has an index: recall_low, outgrown",
            "reason",
        )
        self._labels = counter(
            "labels_total", "Labels by cause; a corrected label counts under each of its causes", "cause"
        )
        self._answers = counter(
            "answers_total", "Answers by fate: joined, duplicate, erased, or why they cannot count", "fate"
        )
        self._closed = counter("requests_closed_total", "Requests whose window has closed, by release", "release_id")
        self._accepted = counter(
            "requests_accepted_total",
            "Requests with an accepted offer among those whose window has closed, by release",
            "release_id",
        )
        self._rounds = counter("retrain_rounds_total", "Rounds of `retrain` by how they ended", "outcome")
        self._delays = DelayHistogram(registry)
        self._releases: dict[str, None] = {}
        self._open = gauge("open_requests", "Requests whose labels may still change")
        self._silence = gauge(
            "release_store_silent_seconds", "Time since the store last confirmed the release in memory"
        )
        age = gauge("release_age_seconds", "Age of the release in memory")
        age.set_function(lambda: (clock.now_ms() - self._created_ms) / 1000 if self._release else 0.0)

    def batch(self, report: BatchReport) -> None:
        """See Telemetry."""
        for topic, count in report.consumed.items():
            self._consumed.labels(report.job, topic).inc(count)
        for topic, count in report.produced.items():
            self._produced.labels(report.job, topic).inc(count)
        for (topic, code), count in report.dead_letters.items():
            self._dead.labels(report.job, topic, code).inc(count)
        self._batch.labels(report.job).observe(sum(report.consumed.values()))
        if report.oldest_s is not None:
            self._oldest.labels(report.job).observe(report.oldest_s)

    def polled(self, job: str, lag: Mapping[Partition, int], read_ms: Mapping[Partition, int]) -> None:
        """See Telemetry."""
        now_ms = self._clock.now_ms()
        for partition, behind in lag.items():
            place = (job, partition.topic, str(partition.number))
            self._lag.labels(*place).set(behind)
            if behind == 0:
                self._caught_up_ms[job, partition] = now_ms
            if (known_ms := self._all_read_ms(job, partition, read_ms)) is not None:
                self._note_age(place, None if behind == 0 else known_ms)

    def _note_age(self, place: tuple[str, str, str], unread_since_ms: int | None) -> None:
        # The gauge asks when it is read, not when it is set: a loop that hangs, or a restore, would stop its clock.
        if place not in self._unread_since_ms:
            self._lag_s.labels(*place).set_function(lambda: self._age_s(place))
        self._unread_since_ms[place] = unread_since_ms

    def _age_s(self, place: tuple[str, str, str]) -> float:
        since_ms = self._unread_since_ms.get(place)
        return 0.0 if since_ms is None else max(0, self._clock.now_ms() - since_ms) / 1000

    def _all_read_ms(self, job: str, partition: Partition, read_ms: Mapping[Partition, int]) -> int | None:
        """Return a time up to which all records of a partition are read, None where none is known.

        Records arrive in the order of their times, all but: what is unread is younger than the last one that was read.
        It also came after nothing was unread, or else the first record after a quiet hour would be an hour's lag.
        """
        times_ms = (read_ms.get(partition), self._caught_up_ms.get((job, partition)))
        return max((each for each in times_ms if each is not None), default=None)

    def took(self, job: str, operation: Operation, seconds: float, *, error: str = "") -> None:
        """See Telemetry."""
        self._messaging.took(job, operation, seconds, error)

    def sent(self, job: str, messages: Mapping[str, int], *, error: str = "") -> None:
        """See Telemetry."""
        self._messaging.sent(job, messages, error)

    def aborted(self, job: str) -> None:
        """See Telemetry."""
        self._aborted.labels(job).inc()

    def fetched(self, job: str, fetched: Fetched) -> None:
        """See Telemetry."""
        self._health.fetched(job, fetched)
        self._messaging.consumed(job, fetched.records)
        changed = fetched.assignment
        for partition in changed.dropped:
            self._forget_lag(job, partition)
        if changed.gained or changed.dropped:
            self._rebalances.labels(job).inc()
            self._partitions.labels(job).inc(len(changed.gained) - len(changed.dropped))

    def restoring(self, job: str, partitions: int) -> None:
        """See Telemetry."""
        self._health.restoring(job, partitions)

    def _forget_lag(self, job: str, partition: Partition) -> None:
        self._caught_up_ms.pop((job, partition), None)
        self._unread_since_ms.pop((job, partition.topic, str(partition.number)), None)
        for gauge in (self._lag, self._lag_s):
            with suppress(KeyError):  # none was known yet
                gauge.remove(job, partition.topic, str(partition.number))

    def expired_unread(self, job: str, partition: Partition, records_max: int) -> None:
        """See Telemetry."""
        self._expired.labels(job, partition.topic, str(partition.number)).inc(records_max)

    def release(self, release_id: ReleaseId, created_ms: int, *, forced: bool) -> None:
        """See Telemetry."""
        self._held.clear()
        self._held.labels(release_id, str(forced).lower()).set(1)
        self._release, self._created_ms = release_id, created_ms
        self._health.release(release_id)

    def features(self, coverage: FeatureCoverage) -> None:
        """See Telemetry. A model with other features takes the place of the one before: names do not pile up."""
        if coverage.read != self._read.get(coverage.side, coverage.read):
            self._features.clear()
        self._read[coverage.side] = coverage.read
        for name in coverage.read:
            states = {
                "read": coverage.present(name),
                "missing": coverage.missing.get(name, 0),
                "other_kind": coverage.other_kind.get(name, 0),
            }
            for state, count in states.items():
                if count:
                    self._features.labels(coverage.side, name, state).inc(count)
        self._features.labels(coverage.side, "", "unknown").inc(coverage.unknown_values)

    def recall(self, recall: Recall) -> None:
        """See Telemetry."""
        self._index_offers.labels("found").inc(recall.found)
        self._index_offers.labels("missed").inc(recall.wanted - recall.found)

    def index_given_up(self, reason: IndexFault | None) -> None:
        """See Telemetry."""
        if reason is None:
            self._index_faults.clear()
        else:
            self._index_faults.labels(reason).set(1)

    def store_watched(self, state: Callable[[], str], silent_s: Callable[[], float]) -> None:
        """See Telemetry."""
        self._silence.set_function(silent_s)
        self._health.watched(state, silent_s)

    def retrained(self, outcome: str | None) -> None:
        """Count a round of `retrain` by its outcome; None: the first one begins."""
        self._health.began("retrain")
        if outcome is not None:
            self._rounds.labels(outcome).inc()

    def labels(self, tally: LabelTally, answers: Mapping[str, int], open_requests: int) -> None:
        """See Telemetry."""
        for cause, count in tally.causes.items():
            self._labels.labels(cause).inc(count)
        for fate, count in answers.items():
            self._answers.labels(fate).inc(count)
        for release_id, count in tally.closed.items():
            self._closed.labels(release_id).inc(count)
            self._accepted.labels(release_id).inc(tally.accepted[release_id])
        self._forget_releases(tally.closed)
        self._delays.add(tally.delays_ms)
        self._open.set(open_requests)

    def _forget_releases(self, closed: Iterable[str]) -> None:
        """Keep the figures of the RELEASES_MAX releases seen last: each label value costs memory for ever."""
        for release_id in closed:
            self._releases.pop(release_id, None)
            self._releases[release_id] = None
        while len(self._releases) > RELEASES_MAX:
            oldest = next(iter(self._releases))
            del self._releases[oldest]
            self._closed.remove(oldest)
            self._accepted.remove(oldest)


def serve_metrics(settings: MetricsSettings, clock: Clock, *, group: str = "") -> PrometheusTelemetry:
    """Return the telemetry of this process and, unless the port is 0, serve its pages from threads of their own.

    Raises UsageError when the port is in use.
    """
    registry = process_registry()
    health = Health(clock, stalled_after_s=settings.stalled_after_s)
    if settings.port:
        serve_pages(settings, health, registry)
    return PrometheusTelemetry(registry, health=health, clock=clock, group=group)
