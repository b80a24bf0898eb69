"""Measures what the `join` command costs on a broker: decoding, joining and Kafka's client, less start and idling."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import get_args

from stream_scorer.adapters.kafka.log import KafkaLog
from stream_scorer.bench.join.job import JoinJob, ranking_kinds
from stream_scorer.bench.measured_process import Usage, measured
from stream_scorer.bench.stand import Run, Stand
from stream_scorer.core.records import OutputRecord, Partition, Record
from stream_scorer.errors import StreamScorerError
from stream_scorer.services.streaming.join_restore import Emit
from stream_scorer.settings import Delivery
from stream_scorer.wiring.streaming import join_config

_IDLE_S = 1.0
_RUN_S_MAX = 180.0
# So large a share of the rankings is open at a time: a run labels all but the last of them.
_OPEN_SHARE = 0.05

Say = Callable[[str], None]
Kind = tuple[Emit, Delivery]


@dataclass(frozen=True, slots=True)
class JoinThroughput:
    """Medians over the rounds, but the largest memory; processor time is of all threads, less starting and waiting."""

    emit: Emit
    delivery: Delivery
    rankings: int
    labels: int
    processor_us_per_ranking: float
    memory_mib: float


def measure_join_throughput(
    stand: Stand, deliveries: list[Delivery], *, offers: int, rankings: int, rounds: int, say: Say
) -> list[JoinThroughput]:
    """Run both ways to emit alternately, round by round, over the same full topics."""
    full = _filled(stand, offers=offers, rankings=rankings)
    kinds: list[Kind] = [(emit, delivery) for emit in get_args(Emit) for delivery in deliveries]
    idle = {(emit, delivery): _run(stand, stand.new_run("join", delivery), emit) for emit, delivery in kinds}
    used: dict[Kind, list[Usage]] = {kind: [] for kind in kinds}
    labels: dict[Kind, int] = {}
    for number in range(rounds):
        for emit, delivery in kinds:
            say(f"throughput, round {number + 1} of {rounds}: join {emit}, {delivery}")
            run = stand.new_run("join", delivery, given=full)
            used[emit, delivery].append(_run(stand, run, emit))
            labels[emit, delivery] = _labels(run)
    return [_summed_up(kind, used[kind], idle[kind], rankings, labels[kind]) for kind in kinds]


def _filled(stand: Stand, *, offers: int, rankings: int) -> dict[str, str]:
    """Write the join's two input topics, and return their names by their roles."""
    settings = stand.new_run("join", "at_least_once").settings
    config = join_config(settings)
    job = JoinJob(
        config.topics, ranking_kinds(offers), max(1, int(config.horizons.forget_ms / (_OPEN_SHARE * rankings)))
    )
    stand.send(job.topics.rankings, _outputs(job.ranking, rankings))
    stand.send(job.topics.outcomes, _outputs(job.acceptance, job.acceptances(rankings)))
    return {"rankings": job.topics.rankings, "outcomes": job.topics.outcomes}


def _outputs(record_of: Callable[[int], Record], count: int) -> Iterator[OutputRecord]:
    records = map(record_of, range(count))
    return (OutputRecord(record.topic, record.key, record.value) for record in records)


def _run(stand: Stand, run: Run, emit: Emit) -> Usage:
    return measured(stand.start(run, until_idle_s=_IDLE_S, options=["--emit", emit]), _RUN_S_MAX)


def _labels(run: Run) -> int:
    topics = run.settings.topics
    log = KafkaLog({**run.settings.kafka.client_config(), "group.id": "bench-reader"}, timeout_s=30)
    partitions = [Partition(topics.labels, number) for number in range(topics.partitions)]
    try:
        return sum(len(batch) for each in partitions for batch in log.read(each, 0, log.end(each)))
    finally:
        log.close()


def _summed_up(kind: Kind, used: list[Usage], idle: Usage, rankings: int, labels: int) -> JoinThroughput:
    if labels < rankings / 2:
        raise StreamScorerError(f"join {kind[0]} ({kind[1]}) wrote {labels} labelled rankings of {rankings} rankings")
    processor_s = median(usage.processor_s for usage in used) - idle.processor_s
    return JoinThroughput(
        *kind, rankings, labels, processor_s / rankings * 1e6, max(usage.memory_max_bytes for usage in used) / 2**20
    )
