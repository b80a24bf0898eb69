"""Every measure is taken once, small, on the servers of the tests: the figures mean nothing, but all are there."""

from collections.abc import Iterator

import pytest

from stream_scorer.adapters.local.own_process import OwnProcess
from stream_scorer.adapters.local.valkey import LocalValkey
from stream_scorer.bench.join.kafka_restore import measure_kafka_restore
from stream_scorer.bench.join.throughput import measure_join_throughput
from stream_scorer.bench.measured_process import measured
from stream_scorer.bench.rank.measures import measure_latency, measure_throughput
from stream_scorer.bench.rank.stage_clock import STAGES
from stream_scorer.bench.rank.stages import measure_stages
from stream_scorer.bench.stand import Stand
from stream_scorer.errors import TransientError


@pytest.fixture(scope="module")
def stand(kafka: str, valkey: LocalValkey) -> Iterator[Stand]:
    with Stand(offers=20, batch=100, partitions=2, mix=True, servers=(kafka, valkey.url)) as stand:
        yield stand


def test_throughput_counts_every_event_of_both_workers(stand: Stand) -> None:
    rows = measure_throughput(stand, ["exactly_once"], events=1_500, rounds=1, say=lambda what: None)
    assert [(row.worker, row.delivery, row.events) for row in rows] == [
        ("bare", "exactly_once", 1_500),
        ("rank", "exactly_once", 1_500),
    ]
    assert all(row.events_per_s > 0 and row.memory_mib > 10 for row in rows)


def test_the_stages_of_a_ranker_are_measured(stand: Stand) -> None:
    (found,) = measure_stages(stand, ["exactly_once"], events=1_500, say=lambda what: None)
    assert tuple(found.us_per_event) == STAGES
    assert all(found.us_per_event[stage] > 0 for stage in ("read", "decode", "rank", "encode", "commit"))


def test_latency_counts_requests_after_the_warm_up(stand: Stand) -> None:
    rows = measure_latency(stand, ["at_least_once"], rate=100, seconds=2, say=lambda what: None)
    assert [(row.worker, row.measured) for row in rows] == [("bare", 160), ("rank", 160)]
    assert all(0 < row.p50_ms <= row.p99_ms for row in rows)


def test_the_joiner_is_measured_both_ways(stand: Stand) -> None:
    rows = measure_join_throughput(stand, ["exactly_once"], offers=20, rankings=1_500, rounds=1, say=lambda what: None)
    assert [(row.emit, row.rankings) for row in rows] == [("at_once", 1_500), ("at_close", 1_500)]
    assert all(1_000 < row.labels < 1_700 and row.memory_mib > 10 for row in rows)


def test_open_requests_are_restored_from_a_broker(stand: Stand) -> None:
    found = measure_kafka_restore(stand, offers=20, batch=100, held=300, say=lambda what: None)
    assert {emit: 300 <= one.restored < 400 for emit, one in found.items()} == {"at_once": True, "at_close": True}


def test_no_process_outlives_its_measuring() -> None:
    process = OwnProcess(["sleep", "600"])
    with pytest.raises(TransientError, match=r"not done in 0 s"):
        measured(process, 0)
    assert not process.running()
