"""The commands of an operator, on real servers."""

import json
import signal
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from stream_scorer.adapters.local.clock import SystemClock
from stream_scorer.adapters.local.free_port import free_ports
from stream_scorer.adapters.local.valkey import LocalValkey
from stream_scorer.adapters.redis.admin import RedisAdmin
from stream_scorer.adapters.redis.client import connect
from stream_scorer.core.messages import ReleaseId
from stream_scorer.ports import Fetched
from stream_scorer.settings import MetricsSettings
from stream_scorer.telemetry.prometheus import serve_metrics
from stream_scorer.topic_settings import TopicSettings
from tests.commands import Run
from tests.release_samples import model, offer
from tests.ring import Ring, request, values


@pytest.fixture
def run(ring: Ring) -> Run:
    return ring.command


def findings(run: Run, **variables: str) -> tuple[int, dict[str, dict[str, Any]]]:
    done = run("doctor", "--json", **variables)
    return done.returncode, {finding["check"]: finding for finding in json.loads(done.stdout)}


def test_topics_makes_what_is_missing(run: Run, ring: Ring) -> None:
    fields = ("requests", "acceptances", "offers", "rankings", "outcomes", "labels", "dead_letters")
    ring.topics = TopicSettings(partitions=4, **{name: f"operated-{name}-{ring.tag}" for name in fields})  # type: ignore[arg-type]
    made = json.loads(run("topics", "--json").stdout)
    assert {row["action"] for row in made} == {"created"}
    assert all(row["differences"] == [] for row in made)
    ring.publish(model(1), [offer(number) for number in range(9)])
    code, found = findings(run)
    assert code == 0
    assert {finding["state"] for finding in found.values()} == {"ok"}


def test_the_doctors_faults_carry_advice(run: Run) -> None:
    code, found = findings(run, STREAM_SCORER_TOPICS__LABELS="no-such-labels")
    assert code == 1
    assert (found["no-such-labels"]["state"], found["no-such-labels"]["do"]) == ("fault", "stream-scorer topics")
    assert found["release"]["state"] == "fault"


def test_a_replayed_file_arrives_whole(run: Run, ring: Ring, tmp_path: Path) -> None:
    lines = [json.dumps(request(number)) for number in range(2_000)]
    (tmp_path / "requests.jsonl").write_text("\n".join(lines))
    done = run("replay", str(tmp_path / "requests.jsonl"), "--topic", ring.topics.requests, "--json")
    assert json.loads(done.stdout)["delivered"] == 2_000
    assert {value["request_id"] for value in values(ring.read(ring.topics.requests))} == {
        f"q-{number}" for number in range(2_000)
    }


def test_an_undelivered_record_fails_a_replay(run: Run, ring: Ring, tmp_path: Path) -> None:
    (tmp_path / "requests.jsonl").write_text(json.dumps({"customer_id": "c", "x": "x" * 3_000_000}) + "\n{}\n")
    done = run("replay", str(tmp_path / "requests.jsonl"), "--topic", ring.topics.requests, "--anyway")
    assert done.returncode == 1
    assert "1 records were not delivered" in done.stderr
    assert len(ring.read(ring.topics.requests)) == 1


def test_an_interrupted_replay_counts_its_deliveries(ring: Ring, tmp_path: Path) -> None:
    (tmp_path / "requests.jsonl").write_text("{}\n" * 10_000)
    log = tmp_path / "replay.log"
    replay = ring.start(
        "replay",
        str(tmp_path / "requests.jsonl"),
        "--topic",
        ring.topics.requests,
        "--rate",
        "50",
        "--anyway",
        "--json",
        log=log,
    )
    while not ring.read(ring.topics.requests):
        assert replay.poll() is None, log.read_text()
    replay.signal(signal.SIGINT)
    assert replay.wait(90) == 130
    assert json.loads(log.read_text())["delivered"] == len(ring.read(ring.topics.requests))


def test_the_current_release_ranks_a_file_offline(run: Run, ring: Ring, tmp_path: Path) -> None:
    release = ring.publish(model(1), [offer(number) for number in range(9)])
    (tmp_path / "requests.jsonl").write_text("\n".join([json.dumps(request(1)), "{", json.dumps(request(2))]))
    done = run("score", "--requests", str(tmp_path / "requests.jsonl"), "--release", "current")
    assert done.returncode == 1
    rankings = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(ranking["request_id"], ranking["release_id"]) for ranking in rankings] == [
        ("q-1", release.release_id),
        ("q-2", release.release_id),
    ]
    assert json.loads(done.stderr.splitlines()[0]) == {
        "request": 2,
        "code": "not_json",
        "message": "the value is not JSON at character 1",
    }


def test_an_unwritable_place_is_wrong_usage(run: Run, ring: Ring, tmp_path: Path) -> None:
    ring.publish(model(1), [offer(number) for number in range(9)])
    (tmp_path / "requests.jsonl").write_text(json.dumps(request(1)))
    nowhere = str(tmp_path / "none" / "rankings.jsonl")
    done = run("score", "--requests", str(tmp_path / "requests.jsonl"), "--release", "current", "--out", nowhere)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert nowhere in line


def test_a_valkey_states_its_facts(valkey: LocalValkey) -> None:
    facts = RedisAdmin(connect(valkey.url, timeout_s=5)).facts()
    assert facts.version.startswith("Valkey ")
    assert facts.eviction_policy == "noeviction"
    assert facts.memory_used_bytes


def test_metrics_and_health_are_served_over_http() -> None:
    (port,) = free_ports(1)
    telemetry = serve_metrics(MetricsSettings(port=port), SystemClock())
    telemetry.fetched("rank", Fetched([]))
    telemetry.release(ReleaseId("r"), 0, forced=False)
    pages = {
        path: urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=10).read().decode()
        for path in ("metrics", "readyz")
    }
    assert 'stream_scorer_release_info{forced="false",release_id="r"} 1.0' in pages["metrics"]
    assert pages["readyz"] == "ready: rank: 0 partitions\n"
