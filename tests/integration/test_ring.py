"""The ring with real processes on a real Kafka and a real Valkey."""

import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from tests.release_samples import model, offer
from tests.ring import START_MS, Ring, acceptance, request, values

KILLS = int(os.environ.get("CHAOS_ROUNDS", "9"))


@pytest.mark.parametrize("delivery", ["exactly_once", "at_least_once"])
def test_requests_become_rankings_and_acceptances_become_labels(ring: Ring, tmp_path: Path, delivery: str) -> None:
    ring.publish(model(1), [offer(number) for number in range(9)])
    ring.send(ring.topics.requests, [request(number) for number in range(500)])
    ring.run("rank", "--delivery", delivery, "--until-idle", "1", log=tmp_path / "rank.log")
    rankings = values(ring.read(ring.topics.rankings))
    assert Counter(ranking["request_id"] for ranking in rankings) == Counter(f"q-{number}" for number in range(500))
    best = {ranking["request_id"]: ranking["offers"][0]["offer_id"] for ranking in rankings}
    ring.send(
        ring.topics.acceptances,
        [acceptance(number, best[f"q-{number}"], accepted=number % 3 > 0) for number in range(0, 500, 5)],
    )
    ring.run("rank", "--delivery", delivery, "--until-idle", "1", log=tmp_path / "rank.log")
    ring.run("join", "--delivery", delivery, "--until-idle", "1", log=tmp_path / "join.log")
    labels = values(ring.read(ring.topics.labels))
    assert len(labels) == 100
    assert all(label["offers"][0]["accepted"] == int(int(label["request_id"][2:]) % 3 > 0) for label in labels)
    assert all(label["offers"][0]["features"]["colour"] == "red" and label["features"]["colour"] for label in labels)
    assert ring.read(ring.topics.dead_letters) == []


def test_a_backlog_of_hours_is_joined_alike(ring: Ring, tmp_path: Path) -> None:
    ring.publish(model(1), [offer(number) for number in range(3)])
    asked_ms = [START_MS + 2_000 * number for number in range(6_000)]  # more than the join keeps a request
    ring.send(ring.topics.requests, [request(number, event_time_ms=time_ms) for number, time_ms in enumerate(asked_ms)])
    answered = range(0, 6_000, 7)
    answers = [acceptance(number, f"offer-{number % 3}", event_time_ms=asked_ms[number] + 9_000) for number in answered]
    ring.send(ring.topics.acceptances, answers)
    ring.run("rank", "--until-idle", "1", log=tmp_path / "rank.log")
    ring.run("join", "--until-idle", "1", log=tmp_path / "join.log")
    assert ring.read(ring.topics.dead_letters) == []
    accepted = {
        label["request_id"]
        for label in values(ring.read(ring.topics.labels))
        if any(one["accepted"] for one in label["offers"])
    }
    assert accepted == {f"q-{number}" for number in answered}


def test_workers_end_with_serve(ring: Ring, tmp_path: Path) -> None:
    ring.publish(model(1), [offer(number) for number in range(9)])
    for end in (signal.SIGTERM, signal.SIGKILL):
        serve = ring.start("serve", "--rankers", "1", "--joiners", "1", log=tmp_path / "serve.log")
        workers = ring.workers(serve, 2)
        serve.signal(end)
        _, alive = psutil.wait_procs(workers, timeout=30)
        assert not alive


@pytest.mark.chaos
@pytest.mark.timeout(1_200)
def test_killed_workers_lose_nothing_and_double_nothing(ring: Ring, tmp_path: Path) -> None:
    ring.publish(model(1), [offer(number) for number in range(3)])
    serve = ring.start("serve", "--rankers", "2", "--joiners", "2", log=tmp_path / "serve.log")
    ring.workers(serve, 4)
    rng = random.Random(7)
    for block in range(KILLS + 3):
        numbers = range(1_000 * block, 1_000 * (block + 1))
        ring.send(ring.topics.requests, [request(number) for number in numbers])
        ring.send(
            ring.topics.acceptances,
            [acceptance(number, f"offer-{number % 3}") for number in numbers if number % 10 == 0],
        )
        if block < KILLS:
            rng.choice(ring.workers(serve, 4)).kill()
            time.sleep(rng.uniform(0.3, 1.5))
    ring.wait_until_read("rank", [ring.topics.requests, ring.topics.acceptances], timeout_s=120)
    ring.wait_until_read("join", [ring.topics.rankings, ring.topics.outcomes], timeout_s=120)
    rankings, labels = values(ring.read(ring.topics.rankings)), values(ring.read(ring.topics.labels))
    assert Counter(ranking["request_id"] for ranking in rankings) == Counter(
        f"q-{number}" for number in range(1_000 * KILLS + 3_000)
    )
    assert Counter((label["request_id"], label["revision"]) for label in labels) == Counter(
        (f"q-{n}", 1) for n in range(0, 1_000 * KILLS + 3_000, 10)
    )
    assert ring.read(ring.topics.dead_letters) == []
