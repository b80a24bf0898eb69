"""What a worker says, and how fast it ends, when Kafka refuses it or is not there."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from stream_scorer.adapters.kafka.admin import KafkaTopicAdmin
from stream_scorer.adapters.local.free_port import free_ports
from stream_scorer.adapters.local.kafka import LocalKafka
from stream_scorer.services.operating.topics import create_topics
from stream_scorer.settings import Settings
from stream_scorer.topic_plan import topic_specs
from stream_scorer.topic_settings import TopicSettings
from tests.conftest import local_kafka
from tests.release_samples import model, offer
from tests.ring import Ring, request
from tests.waiting import wait_for

PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule"
GUARDED = {
    "listener.security.protocol.map": "PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT",
    "sasl.enabled.mechanisms": "PLAIN",
    "sasl.mechanism.inter.broker.protocol": "PLAIN",
    "listener.name.plaintext.plain.sasl.jaas.config": (
        f'{PLAIN} required username="admin" password="secret" user_admin="secret" user_worker="secret" user_stranger="secret";'
    ),
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users": "User:admin;User:ANONYMOUS",
}


def credentials(user: str, password: str = "secret") -> dict[str, str]:
    return {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "PLAIN",
        "sasl.username": user,
        "sasl.password": password,
    }


@pytest.fixture(scope="module")
def guarded() -> Iterator[LocalKafka]:
    """A broker that asks for passwords and checks rights: `worker` may do all but write dead letters, `stranger` nothing."""
    with local_kafka(properties=GUARDED, client=credentials("admin")) as broker:
        admin: dict[str, str | int | float | bool] = {
            "bootstrap.servers": broker.bootstrap_servers,
            **credentials("admin"),
        }
        KafkaTopicAdmin(admin, timeout_s=60).members("nobody")
        create_topics(KafkaTopicAdmin(admin), topic_specs(Settings(topics=TopicSettings(partitions=1))))
        rights = [
            acl(ResourceType.TOPIC, "*", AclOperation.ALL),
            acl(ResourceType.GROUP, "*", AclOperation.ALL),
            acl(ResourceType.TRANSACTIONAL_ID, "*", AclOperation.ALL),
            acl(ResourceType.BROKER, "kafka-cluster", AclOperation.IDEMPOTENT_WRITE),
            acl(ResourceType.TOPIC, "dead-letters", AclOperation.WRITE, AclPermissionType.DENY),
        ]
        client = AdminClient(admin)
        for future in client.create_acls(rights).values():
            future.result(30)
        yield broker


def acl(
    kind: ResourceType, name: str, operation: AclOperation, permission: AclPermissionType = AclPermissionType.ALLOW
) -> AclBinding:
    return AclBinding(kind, name, ResourcePatternType.LITERAL, "User:worker", "*", operation, permission)


def run(servers: str, *words: str, client: dict[str, str] | None = None) -> "subprocess.Popen[str]":
    variables = {
        "STREAM_SCORER_KAFKA__BOOTSTRAP_SERVERS": servers,
        "STREAM_SCORER_KAFKA__CLIENT": json.dumps(client or {}),
    }
    command = [sys.executable, "-m", "stream_scorer", *words]
    return subprocess.Popen(
        command, env={**os.environ, **variables}, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize(
    ("client", "reason"),
    [
        (credentials("admin", "wrong"), "Invalid username or password"),
        ({"security.protocol": "SSL"}, "connecting to a PLAINTEXT broker listener?"),
    ],
    ids=["wrong password", "TLS to a plain port"],
)
@pytest.mark.parametrize("delivery", ["exactly_once", "at_least_once"])
def test_what_cannot_heal_ends_a_worker_within_seconds_with_the_reason(
    guarded: LocalKafka, client: dict[str, str], reason: str, delivery: str
) -> None:
    worker = run(guarded.bootstrap_servers, "rank", "--delivery", delivery, client=client)
    _, said = worker.communicate(timeout=20)
    assert worker.returncode == 1
    assert reason in said.splitlines()[-1]


def test_no_credentials_are_named_as_a_cause_at_once(guarded: LocalKafka) -> None:
    worker = run(guarded.bootstrap_servers, "rank")
    assert worker.stderr is not None
    events = map(json.loads, iter(worker.stderr.readline, ""))
    awaited = next(event for event in events if event["event"] == "brokers_awaited")
    worker.kill()
    worker.communicate(timeout=20)
    assert "the listener may want SASL" in awaited["reason"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_worker_that_waits_for_a_broker_says_so_in_its_log_and_can_be_stopped(number: signal.Signals) -> None:
    [port] = free_ports(1)
    worker = run(f"127.0.0.1:{port}", "rank")
    assert worker.stderr is not None
    events = map(json.loads, iter(worker.stderr.readline, ""))
    awaited = next(event for event in events if event["event"] == "brokers_awaited")
    assert "Connection refused" in awaited["reason"]
    worker.send_signal(number)
    stopped_s = time.monotonic()
    worker.communicate(timeout=20)
    assert (worker.returncode, time.monotonic() - stopped_s < 2) == (0, True)


@pytest.mark.parametrize("delivery", ["exactly_once", "at_least_once"])
def test_without_the_right_to_write_dead_letters_a_ranker_ends_and_says_which(
    guarded: LocalKafka, redis_url: str, delivery: str, tmp_path: Path
) -> None:
    ring = Ring(guarded.bootstrap_servers, redis_url, TopicSettings(partitions=1))
    ring.publish(model(1), [offer(0)])
    ring.options["STREAM_SCORER_KAFKA__CLIENT"] = json.dumps(credentials("worker"))
    replace(ring, client=credentials("admin")).send(ring.topics.requests, [request(0), b"no request"])
    worker = ring.start("rank", "--delivery", delivery, log=tmp_path / "rank.log")
    assert worker.wait(60) == 1
    last = (tmp_path / "rank.log").read_text().splitlines()[-1]
    assert "dead-letters" in last
    assert "authorization failed" in last


def test_doctor_passes_on_why_a_broker_lets_nobody_in(guarded: LocalKafka) -> None:
    doctor = run(guarded.bootstrap_servers, "doctor", client=credentials("admin", "wrong"))
    said, _ = doctor.communicate(timeout=60)
    assert doctor.returncode == 1
    assert "Invalid username or password" in said


def test_a_topic_that_a_user_may_not_see_is_not_called_missing_outright(guarded: LocalKafka) -> None:
    doctor = run(guarded.bootstrap_servers, "doctor", client=credentials("stranger"))
    said, _ = doctor.communicate(timeout=60)
    assert doctor.returncode == 1
    assert "does not exist, or this user may not see it" in said


def test_the_elder_of_two_workers_with_one_instance_id_ends(ring: Ring, tmp_path: Path) -> None:
    ring.publish(model(1), [offer(0)])
    ring.options["STREAM_SCORER_KAFKA__CLIENT"] = json.dumps({"group.instance.id": "same"})
    elder = ring.start("rank", log=tmp_path / "elder.log")
    wait_for(lambda: "partitions_assigned" in (tmp_path / "elder.log").read_text(), "the elder's partitions")
    younger = ring.start("rank", log=tmp_path / "younger.log")
    assert elder.wait(60) == 1
    assert "same group.instance.id" in (tmp_path / "elder.log").read_text().splitlines()[-1]
    assert younger.poll() is None
