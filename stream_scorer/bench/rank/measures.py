"""Measures throughput and processor time on a full topic, and the latency under an even load."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import numpy as np

from stream_scorer.adapters.kafka.log import KafkaLog
from stream_scorer.bench import job
from stream_scorer.bench.measured_process import Usage, measured
from stream_scorer.bench.rank.latency_probe import LatencyProbe
from stream_scorer.bench.stand import Run, Stand, Worker
from stream_scorer.core.records import Partition
from stream_scorer.errors import StreamScorerError
from stream_scorer.settings import Delivery

_IDLE_S = 1.0
_RUN_S_MAX = 180.0
_END_S_MAX = 30.0
_WARM_SHARE = 0.2
WORKERS: tuple[Worker, ...] = ("bare", "rank")

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Throughput:
    """Medians over the rounds, but the largest memory; processor time is of all threads, less starting and waiting."""

    worker: Worker
    delivery: Delivery
    events: int
    events_per_s: float
    processor_us_per_event: float
    memory_mib: float


@dataclass(frozen=True, slots=True)
class Latency:
    """The time from just before a request is handed to the client until its ranking is read (read_committed)."""

    worker: Worker
    delivery: Delivery
    rate: float
    measured: int
    p50_ms: float
    p99_ms: float


def measure_throughput(
    stand: Stand, deliveries: list[Delivery], *, events: int, rounds: int, say: Say
) -> list[Throughput]:
    """Run the bare loop and the ranker alternately, round by round, over the same full topic."""
    given = stand.full_topics(events)
    kinds = [(worker, delivery) for delivery in deliveries for worker in WORKERS]
    idle = {kind: _idle(stand, *kind) for kind in kinds}
    rows: dict[tuple[Worker, Delivery], list[tuple[float, Usage]]] = {kind: [] for kind in kinds}
    for number in range(rounds):
        for kind in kinds:
            say(f"throughput, round {number + 1} of {rounds}: {kind[0]}, {kind[1]}")
            rows[kind].append(_drain(stand, stand.new_run(*kind, given=given), events))
    return [_summed_up(kind, rows[kind], idle[kind], events) for kind in kinds]


def _idle(stand: Stand, worker: Worker, delivery: Delivery) -> Usage:
    """Run a worker over next to nothing, which measures what starting and waiting cost, and warms the broker up."""
    run = stand.new_run(worker, delivery)
    stand.fill(run.settings.topics.requests, [job.warm_up()] * 16)
    return measured(stand.start(run, until_idle_s=_IDLE_S), _RUN_S_MAX)


def _drain(stand: Stand, run: Run, events: int) -> tuple[float, Usage]:
    usage = measured(stand.start(run, until_idle_s=_IDLE_S), _RUN_S_MAX)
    times_ms = _append_times(run)
    if len(times_ms) != events:
        raise StreamScorerError(f"{run.worker} ({run.delivery}) wrote {len(times_ms)} records, not {events}")
    # The broker stamps each record when it is appended. Records of the first stamp are left out of the rate, because
    # the work on them was done before it.
    later = int(np.count_nonzero(times_ms > times_ms.min()))
    return later / (max(float(np.ptp(times_ms)), 1.0) / 1000), usage


def _append_times(run: Run) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    topics = run.settings.topics
    log = KafkaLog({**run.settings.kafka.client_config(), "group.id": "bench-reader"}, timeout_s=30)
    partitions = [
        Partition(topic, number) for topic in (topics.rankings, topics.outcomes) for number in range(topics.partitions)
    ]
    try:
        read = [
            record.timestamp_ms
            for partition in partitions
            for batch in log.read(partition, 0, log.end(partition))
            for record in batch
        ]
        return np.array(read, np.int64)
    finally:
        log.close()


def _summed_up(kind: tuple[Worker, Delivery], rows: list[tuple[float, Usage]], idle: Usage, events: int) -> Throughput:
    processor_s = median(usage.processor_s for _, usage in rows) - idle.processor_s
    memory_mib = max(usage.memory_max_bytes for _, usage in rows) / 2**20
    return Throughput(*kind, events, median(rate for rate, _ in rows), processor_s / events * 1e6, memory_mib)


def measure_latency(
    stand: Stand, deliveries: list[Delivery], *, rate: float, seconds: float, say: Say
) -> list[Latency]:
    """Load each worker evenly; the first fifth of the answers is warm-up, and not counted."""
    latencies = []
    for delivery in deliveries:
        for worker in WORKERS:
            say(f"latency at {rate:g}/s for {seconds:g} s: {worker}, {delivery}")
            latencies.append(_latency(stand, stand.new_run(worker, delivery), rate, seconds))
    return latencies


def _latency(stand: Stand, run: Run, rate: float, seconds: float) -> Latency:
    topics = run.settings.topics
    worker = stand.start(run, until_idle_s=None)
    probe = LatencyProbe(run.settings.kafka.client_config(), source=topics.requests, target=topics.rankings)
    probe.until_answered(job.warm_up())
    taken = probe.measure(stand.load.requests(int(rate * seconds)), rate=rate).seconds
    probe.close()
    worker.terminate()
    measured(worker, _END_S_MAX)
    if missing := int(np.isnan(taken).sum()):
        raise StreamScorerError(
            f"{run.worker} ({run.delivery}) left {missing} of {len(taken)} requests without an answer"
        )
    steady_ms = 1000 * taken[int(_WARM_SHARE * len(taken)) :]
    p50, p99 = np.quantile(steady_ms, (0.5, 0.99))
    return Latency(run.worker, run.delivery, rate, len(steady_ms), float(p50), float(p99))
