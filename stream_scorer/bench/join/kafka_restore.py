"""Measures the time to restore the state of partition 0 from a broker, as the successor of a joiner does."""

import contextlib
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from typing import get_args

from stream_scorer.adapters.kafka.feed import KafkaFeed
from stream_scorer.bench.join.costs import JoinPlan, RestoreTime, job_of, new_state, start_fresh, timed_restore
from stream_scorer.bench.join.job import held_by
from stream_scorer.bench.stand import Stand
from stream_scorer.core.records import OutputRecord, Partition, Position, Record
from stream_scorer.errors import StreamScorerError
from stream_scorer.services.streaming.join_restore import Emit, JoinConfig
from stream_scorer.settings import Settings
from stream_scorer.wiring.brokers import log_reader, record_source
from stream_scorer.wiring.streaming import join_config

_JOIN_S_MAX = 60.0
_POLL_S = 0.5

Say = Callable[[str], None]


def measure_kafka_restore(stand: Stand, *, offers: int, batch: int, held: int, say: Say) -> dict[Emit, RestoreTime]:
    """Fill topics and restore from them, for both ways to emit; each restore runs in a fresh process."""
    spawn = multiprocessing.get_context("spawn")
    restored: dict[Emit, RestoreTime] = {}
    for emit in get_args(Emit):
        say(f"join, {emit}: restore of {held} open requests from a broker")
        settings = stand.new_run("join", "at_least_once").settings
        plan = JoinPlan(emit, offers, batch, held, held)
        with ProcessPoolExecutor(1, spawn, start_fresh, max_tasks_per_child=1) as fresh:
            fresh.submit(_fill, settings, plan).result()
            restored[emit] = fresh.submit(_restore, settings, emit).result()
    return restored


def _fill(settings: Settings, plan: JoinPlan) -> None:
    """Join until the state is full, write the topics that it came from, and commit its positions."""
    config = replace(join_config(settings), emit=plan.emit)
    state, job = new_state(config), job_of(plan, config, held=plan.held)
    given, feed, labels = (
        held_by(job, state, plan.batch),
        KafkaFeed(settings.kafka.client_config(), config.topics.rankings),
        0,
    )
    while state.held < plan.held:
        records = given.records()
        joined = state.join(records)
        feed.send([*map(_written, records), *joined.labels])
        labels += len(joined.labels)
        state.written_to(labels)
    feed.flush()
    if failures := feed.failures():
        raise StreamScorerError(f"records for the restore were not written: {dict(failures)}")
    _commit(settings, config, state.progress())


def _written(record: Record) -> OutputRecord:
    return OutputRecord(record.topic, record.key, record.value, partition=0)


def _commit(settings: Settings, config: JoinConfig, progress: dict[Partition, Position]) -> None:
    topics = config.topics
    with contextlib.closing(
        record_source(settings, settings.join.group, [topics.rankings], mirrored=[topics.outcomes], held=True)
    ) as source:
        for _ in range(int(_JOIN_S_MAX / _POLL_S)):
            if source.fetch(records_max=1, wait_s=_POLL_S, linger_s=0.0).assignment.gained:
                source.commit(progress)
                return
    raise StreamScorerError(f"the group {settings.join.group} did not assign its partitions within {_JOIN_S_MAX:g} s")


def _restore(settings: Settings, emit: Emit) -> RestoreTime:
    with contextlib.closing(log_reader(settings, settings.join.group)) as reader:
        return timed_restore(reader, replace(join_config(settings), emit=emit))
