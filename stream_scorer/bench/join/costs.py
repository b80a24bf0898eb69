"""What the join costs without a broker: processor time, the memory of its state, and the time to restore that state.

A state that emits `at_once` keeps open requests; one that emits `at_close` keeps outcomes whose rankings are not due.
"""

import gc
import multiprocessing
import resource
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

from stream_scorer.adapters.local.clock import HandClock, SystemClock
from stream_scorer.adapters.memory.stream import MemoryBroker, MemoryLog
from stream_scorer.bench.join.job import ANSWERED_AFTER_MS, JoinJob, RankingFlow, held_by, ranking_kinds
from stream_scorer.core.joining.at_close import PartitionClose
from stream_scorer.core.joining.at_once import PartitionJoin
from stream_scorer.core.records import Partition, Record
from stream_scorer.logs import set_up_logging
from stream_scorer.ports import LogReader
from stream_scorer.services.streaming.join_restore import Emit, JoinConfig, restore
from stream_scorer.services.streaming.joiner import State
from stream_scorer.settings import LogSettings, Settings
from stream_scorer.wiring.streaming import join_config

GROUP = "bench"
STEADY_OPEN = 20_000
MILLION = 1_000_000
_READ_RECORDS = 512
_LOOK_EVERY_S = 0.001

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class JoinPlan:
    """The sizes of a measurement; `held` is how many open requests, or waiting outcomes, the state keeps."""

    emit: Emit
    offers: int
    batch: int
    rankings: int
    held: int


@dataclass(frozen=True, slots=True)
class JoinTime:
    """Processor time of `join` alone, while as many windows close and requests are forgotten as come in."""

    rankings: int
    ranking_bytes: int
    labels: int
    processor_us_per_ranking: float


@dataclass(frozen=True, slots=True)
class HeldMemory:
    """How much the resident memory grew for each entry of the state; 0 where there is no /proc."""

    held: int
    bytes_per_held: float


@dataclass(frozen=True, slots=True)
class RestoreTime:
    """The time to restore a state from a log, and the longest that another thread had to wait meanwhile."""

    restored: int
    seconds: float
    longest_gap_s: float

    @property
    def million_extrapolated_s(self) -> float:
        """Return how long a million entries would take if each took as long as these."""
        return self.seconds / max(self.restored, 1) * MILLION


@dataclass(frozen=True, slots=True)
class JoinCost:
    """All figures of one way to emit."""

    emit: Emit
    time: JoinTime
    memory: HeldMemory
    restore: RestoreTime


def measure_join(*, offers: int, batch: int, rankings: int, held: int, say: Say) -> list[JoinCost]:
    """Measure both ways to emit, each figure in a fresh process: reused memory would hide what a state needs."""
    plans = [JoinPlan(emit, offers, batch, rankings, held) for emit in get_args(Emit)]
    spawn = multiprocessing.get_context("spawn")
    costs = []
    for plan in plans:
        say(f"join, {plan.emit}: time over {rankings} rankings, memory and restore of {held} held")
        with ProcessPoolExecutor(1, spawn, start_fresh, max_tasks_per_child=1) as fresh:
            time, memory = fresh.submit(join_time, plan).result(), fresh.submit(held_memory, plan).result()
            costs.append(JoinCost(plan.emit, time, memory, fresh.submit(restore_time, plan).result()))
    return costs


def start_fresh() -> None:
    """Set this process up like a joiner's."""
    gc.set_threshold(10_000, 10, 1_000_000)  # as run_join does
    set_up_logging(LogSettings())


def join_time(plan: JoinPlan) -> JoinTime:
    """Join until as many requests are forgotten as come in, then measure."""
    config = config_of(plan.emit)
    job = job_of(plan, config, held=min(STEADY_OPEN, plan.rankings))
    state = new_state(config)
    flow = RankingFlow(job, state, plan.batch)
    for _ in range(0, (config.horizons.forget_ms + ANSWERED_AFTER_MS) // job.step_ms + 2 * plan.batch, plan.batch):
        state.join(flow.records())
    labels, taken_s, batches = 0, 0.0, max(1, plan.rankings // plan.batch)
    for _ in range(batches):
        records = flow.records()
        started_s = _processor_s()
        joined = state.join(records)
        taken_s += _processor_s() - started_s
        labels += len(joined.labels)
    rankings = batches * plan.batch
    return JoinTime(rankings, len(job.ranking(0).value or b""), labels, taken_s / rankings * 1e6)


def held_memory(plan: JoinPlan) -> HeldMemory:
    """Fill a state and measure by how much the process grew."""
    config = config_of(plan.emit)
    state, job = new_state(config), job_of(plan, config, held=plan.held)
    # A first batch is made and thrown away: what making records allocates once must not count as part of the state.
    held_by(job, new_state(config), plan.batch).records()
    before = _resident_bytes()
    given = held_by(job, state, plan.batch)
    while state.held < plan.held:
        state.join(given.records())
    return HeldMemory(state.held, (_resident_bytes() - before) / state.held)


def restore_time(plan: JoinPlan) -> RestoreTime:
    """Fill a log and a state, and restore the state from the log as a joiner does: in a thread beside the loop's."""
    config = config_of(plan.emit)
    return timed_restore(_BatchedLog(_filled(plan, config), GROUP), config)


def timed_restore(reader: LogReader, config: JoinConfig) -> RestoreTime:
    """Restore partition 0 in a thread, and measure how long this thread waits for its turns meanwhile."""
    clock = SystemClock()
    gaps_s = []
    with ThreadPoolExecutor(1) as restorer:
        started_s = looked_s = clock.monotonic_s()
        restoring = restorer.submit(restore, 0, reader, config)
        while not restoring.done():
            clock.sleep(_LOOK_EVERY_S)
            looked_s, before_s = clock.monotonic_s(), looked_s
            gaps_s.append(looked_s - before_s)
        return RestoreTime(restoring.result().held, clock.monotonic_s() - started_s, max(gaps_s, default=0.0))


def _filled(plan: JoinPlan, config: JoinConfig) -> MemoryBroker:
    clock = HandClock()
    broker, state, job = MemoryBroker(1, clock), new_state(config), job_of(plan, config, held=plan.held)
    given, labels = held_by(job, state, plan.batch), Partition(config.topics.labels, 0)
    while state.held < plan.held:
        records = given.records()
        for record in records:
            broker.log(Partition(record.topic, 0)).append(record)
        clock.set(max(record.timestamp_ms for record in records))
        for output in state.join(records).labels:
            broker.append(output)
        state.written_to(len(broker.log(labels)))
        broker.committed |= {(GROUP, place): position for place, position in state.progress().items()}
    return broker


class _BatchedLog(MemoryLog):
    """A log in memory that reads in batches, as a log behind a network does."""

    def read(self, partition: Partition, start: int, end: int) -> Iterator[list[Record]]:
        """See LogReader.read."""
        for first in range(start, end, _READ_RECORDS):
            yield from super().read(partition, first, min(first + _READ_RECORDS, end))


def config_of(emit: Emit) -> JoinConfig:
    """Return the joiner's default settings for a way to emit."""
    return replace(join_config(Settings.model_validate({})), emit=emit)


def new_state(config: JoinConfig) -> State:
    """Return the empty state of partition 0."""
    kind = PartitionClose if config.emit == "at_close" else PartitionJoin
    return kind(0, config.topics, config.horizons, rankings=0, outcomes=0, labels=0)


def job_of(plan: JoinPlan, config: JoinConfig, *, held: int) -> JoinJob:
    """Return a job whose pace keeps `held` requests open at a time."""
    return JoinJob(config.topics, ranking_kinds(plan.offers), max(1, config.horizons.forget_ms // held))


def _processor_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _resident_bytes() -> int:
    gc.collect()
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * resource.getpagesize() if statm.exists() else 0
