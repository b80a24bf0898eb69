"""Joiners on a real Kafka, killed and frozen, against the oracle; CHAOS_ROUNDS and CHAOS_REQUESTS lengthen it."""

import contextlib
import os
import random
import signal
import time
from pathlib import Path

import msgspec
import psutil
import pytest

from stream_scorer.wiring.streaming import join_config
from tests.join_oracle import Event, history, latest_labels, oracle, outcome, ranking
from tests.ring import START_MS, Ring
from tests.waiting import wait_for

REQUESTS = int(os.environ.get("CHAOS_REQUESTS", "30000"))
KILLS = int(os.environ.get("CHAOS_ROUNDS", "5"))
FREEZES = max(1, KILLS // 5)
HORIZONS = {"WINDOW_MS": "20000", "LATE_MS": "20000", "DISORDER_MS": "4000", "BACK_MS": "1000", "TICK_MS": "500"}


@pytest.fixture
def ring(ring: Ring) -> Ring:
    ring.options |= {f"STREAM_SCORER_JOIN__{name}": value for name, value in HORIZONS.items()}
    return ring


def put(ring: Ring, events: list[Event], *, pause_s: float = 0.0) -> None:
    producer = ring.producer()
    names = {"rankings": ring.topics.rankings, "outcomes": ring.topics.outcomes}
    for number, event in enumerate(events):
        producer.produce(names[event.topic], msgspec.json.encode(event.value), key=event.value["customer_id"].encode())
        if number % 500 == 0:
            producer.poll(0)
            time.sleep(pause_s)
    assert producer.flush(60) == 0


def put_the_end_of_time(ring: Ring, end_ms: int) -> None:
    """Let event time pass everything in every partition; twice, since at_close leaves the last request of all open."""
    producer = ring.producer()
    for number in range(ring.topics.partitions):
        for time_ms in (end_ms, end_ms + 120_000):
            name = f"end-{number}-{time_ms}"
            producer.produce(
                ring.topics.rankings, msgspec.json.encode(ranking(name, "c", time_ms)), key=b"c", partition=number
            )
            answer = outcome(name, name, "c", 0, accepted=True, time_ms=time_ms, asked_ms=time_ms)
            producer.produce(ring.topics.outcomes, msgspec.json.encode(answer), key=b"c", partition=number)
    assert producer.flush(60) == 0


def disturb(workers: list[psutil.Process], rng: random.Random) -> None:
    """Kill a worker, or freeze it past its session and let it come back as a zombie."""
    victim = rng.choice(workers)
    if rng.random() < FREEZES / (KILLS + FREEZES):
        victim.send_signal(signal.SIGSTOP)
        time.sleep(9)
        with contextlib.suppress(psutil.NoSuchProcess):
            victim.send_signal(signal.SIGCONT)
    else:
        victim.kill()


@pytest.mark.chaos
@pytest.mark.timeout(3_000)
@pytest.mark.parametrize("emit", ["at_once", "at_close"])
def test_disturbed_joiners_write_the_oracles_labels(ring: Ring, tmp_path: Path, emit: str) -> None:
    ring.options["STREAM_SCORER_JOIN__EMIT"] = emit
    horizons = join_config(ring.settings()).horizons
    events = history(11, REQUESTS, horizons, start_ms=START_MS, gap_ms=2.0)
    serve = ring.start("serve", "--rankers", "0", "--joiners", "3", log=tmp_path / "serve.log")
    ring.workers(serve, 3)
    rng = random.Random(5)
    share = len(events) // (KILLS + FREEZES)
    for start in range(0, len(events), share):
        put(ring, events[start : start + share], pause_s=0.01)
        disturb(ring.workers(serve, 3), rng)
    put_the_end_of_time(ring, max(event.time_ms for event in events) + 300_000)
    ring.wait_until_read("join", [ring.topics.outcomes], timeout_s=300)
    labels, dead = oracle(events, horizons)
    wait_for(lambda: set(labels) <= final_requests(ring), "final labels of all requests", within_s=300, every_s=1)
    found = latest_labels([record.value or b"" for record in ring.read(ring.topics.labels)])
    assert {request_id: found[request_id] for request_id in labels} == labels
    wait_for(lambda: dead_outcomes(ring) >= dead, "dead letters of outcomes", within_s=300)
    assert dead_outcomes(ring) == dead


def final_requests(ring: Ring) -> set[str]:
    values = (msgspec.json.decode(record.value or b"") for record in ring.read(ring.topics.labels))
    return {value["request_id"] for value in values if value["final"]}


def dead_outcomes(ring: Ring) -> int:
    sources = [dict(record.headers)["source.topic"].decode() for record in ring.read(ring.topics.dead_letters)]
    return sources.count(ring.topics.outcomes)


def test_idle_partitions_close_windows_by_the_clock(ring: Ring, tmp_path: Path) -> None:
    ring.options |= {"STREAM_SCORER_JOIN__WINDOW_MS": "2000", "STREAM_SCORER_JOIN__IDLE_SLACK_MS": "500"}
    put(ring, [Event("rankings", START_MS, START_MS, ranking("q-1", "c-1", START_MS))])
    ring.start("join", log=tmp_path / "join.log")
    wait_for(lambda: final_requests(ring) == {"q-1"}, "the window closes")
    [label] = latest_labels([record.value or b"" for record in ring.read(ring.topics.labels)]).values()
    assert {cause for _, cause, _ in label} == {"window_closed"}
    assert label[0][2] == START_MS + 2_000
