"""What a worker says, and how fast it ends, when Kafka refuses it or is not there."""

import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
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
from stream_scorer.adapters.local.own_command import python_command, without_settings
from stream_scorer.adapters.local.own_process import OwnProcess
from stream_scorer.services.operating.topics import create_topics
from stream_scorer.settings import Settings
from stream_scorer.topic_plan import topic_specs
from stream_scorer.topic_settings import TopicSettings
from stream_scorer.wiring.brokers import record_sink
from tests.commands import run
from tests.conftest import local_kafka
from tests.release_samples import model, offer
from tests.ring import Ring, request
from tests.waiting import wait_for

ENDS_S = 60  # on a busy machine, too; without the check it would wait for ever
PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule"
GUARDED = {
    "listener.security.protocol.map": "PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT",
    "sasl.enabled.mechanisms": "PLAIN",
    "sasl.mechanism.inter.broker.protocol": "PLAIN",
    "listener.name.plaintext.plain.sasl.jaas.config": (
        f'{PLAIN} required username="admin" password="secret" '
        'user_admin="secret" user_worker="secret" user_stranger="secret";'
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
    """A broker with passwords and rights: `worker` may do all but write dead letters, `stranger` nothing."""
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


def variables(servers: str, client: dict[str, str] | None = None) -> dict[str, str]:
    return {
        "STREAM_SCORER_KAFKA__BOOTSTRAP_SERVERS": servers,
        "STREAM_SCORER_KAFKA__CLIENT": json.dumps(client or {}),
    }


@contextmanager
def ranker(servers: str, log: Path) -> Iterator[OwnProcess]:
    """Start a ranker and wait until it waits for the brokers."""
    environment = {**without_settings(), **variables(servers)}
    with OwnProcess(python_command("stream_scorer", "rank"), log=log, environment=environment, watched=True) as process:
        wait_for(lambda: "brokers_awaited" in process.last_output(), "it waits for brokers", within_s=60)
        yield process


def awaited(process: OwnProcess) -> str:
    """Return the reason for which a ranker says that it waits."""
    events = map(json.loads, process.last_output().splitlines())
    return str(next(event for event in events if event["event"] == "brokers_awaited")["reason"])


@pytest.mark.parametrize(
    ("client", "reason"),
    [
        (credentials("admin", "wrong"), "Invalid username or password"),
        ({"security.protocol": "SSL"}, "connecting to a PLAINTEXT broker listener?"),
    ],
    ids=["wrong password", "TLS to a plain port"],
)
@pytest.mark.parametrize("delivery", ["exactly_once", "at_least_once"])
def test_what_cannot_heal_ends_a_worker(
    guarded: LocalKafka, client: dict[str, str], reason: str, delivery: str
) -> None:
    started_s = time.monotonic()
    done = run("rank", "--delivery", delivery, **variables(guarded.bootstrap_servers, client))
    assert (done.returncode, time.monotonic() - started_s < ENDS_S) == (1, True)
    assert reason in done.stderr.splitlines()[-1]


def test_missing_credentials_are_named_at_once(guarded: LocalKafka, tmp_path: Path) -> None:
    with ranker(guarded.bootstrap_servers, tmp_path / "rank.log") as process:
        assert "the listener may want SASL" in awaited(process)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_waiting_worker_can_be_stopped(number: signal.Signals, tmp_path: Path) -> None:
    [port] = free_ports(1)
    with ranker(f"127.0.0.1:{port}", tmp_path / "rank.log") as process:
        assert "Connection refused" in awaited(process)
        process.signal(number)
        assert process.wait(30) == 0  # the brokers stay away for ever


@pytest.mark.parametrize("delivery", ["exactly_once", "at_least_once"])
def test_a_missing_right_ends_a_ranker(guarded: LocalKafka, redis_url: str, delivery: str, tmp_path: Path) -> None:
    ring = Ring(guarded.bootstrap_servers, redis_url, TopicSettings(partitions=1))
    ring.publish(model(1), [offer(0)])
    ring.options["STREAM_SCORER_KAFKA__CLIENT"] = json.dumps(credentials("worker"))
    replace(ring, client=credentials("admin")).send(ring.topics.requests, [request(0), b"no request"])
    worker = ring.start("rank", "--delivery", delivery, log=tmp_path / "rank.log")
    assert worker.wait(60) == 1
    last = (tmp_path / "rank.log").read_text().splitlines()[-1]
    assert "dead-letters" in last
    assert "authorization failed" in last


def test_doctor_passes_the_brokers_reason_on(guarded: LocalKafka) -> None:
    doctor = run("doctor", **variables(guarded.bootstrap_servers, credentials("admin", "wrong")))
    assert doctor.returncode == 1
    assert "Invalid username or password" in doctor.stdout


def test_a_hidden_topic_may_be_there(guarded: LocalKafka) -> None:
    doctor = run("doctor", **variables(guarded.bootstrap_servers, credentials("stranger")))
    assert doctor.returncode == 1
    assert "does not exist, or this user may not see it" in doctor.stdout


def test_a_second_instance_ends_the_elder(ring: Ring, tmp_path: Path) -> None:
    ring.publish(model(1), [offer(0)])
    ring.options["STREAM_SCORER_KAFKA__CLIENT"] = json.dumps({"group.instance.id": "same"})
    elder = ring.start("rank", log=tmp_path / "elder.log")
    wait_for(lambda: "partitions_assigned" in (tmp_path / "elder.log").read_text(), "the elder's partitions")
    younger = ring.start("rank", log=tmp_path / "younger.log")
    assert elder.wait(60) == 1
    assert "same group.instance.id" in (tmp_path / "elder.log").read_text().splitlines()[-1]
    assert younger.poll() is None


def test_a_successor_settles_what_was_open(ring: Ring) -> None:
    ring.options["STREAM_SCORER_LOOP__INSTANCE"] = "ring-rankers-0"
    ring.options["STREAM_SCORER_KAFKA__TRANSACTION_TIMEOUT_MS"] = "600000"  # by itself it would end far too late
    settings, topic = ring.settings(), ring.topics.rankings
    predecessor = record_sink(settings, settings.rank.group)
    predecessor._producer.begin_transaction()
    predecessor._producer.produce(topic, b"open", partition=0)
    assert predecessor._producer.flush(60) == 0
    bystander = ring.producer()
    bystander.produce(topic, b"behind it", partition=0)
    assert bystander.flush(60) == 0
    record_sink(settings, settings.rank.group)
    assert [record.value for record in ring.read(topic)] == [b"behind it"]
