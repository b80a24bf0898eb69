"""Which of librdkafka's keys a user may set."""

import pytest

from stream_scorer.client_keys import fault_of_keys
from stream_scorer.errors import UsageError
from stream_scorer.settings_sources import load_settings

USEFUL = [
    "security.protocol",
    "sasl.mechanism",
    "sasl.username",
    "ssl.ca.location",
    "client.id",
    "client.rack",
    "group.instance.id",
    "fetch.message.max.bytes",
    "max.partition.fetch.bytes",
    "queued.max.messages.kbytes",
    "socket.keepalive.enable",
    "statistics.interval.ms",
    "linger.ms",
    "debug",
]


def test_useful_keys_may_be_set() -> None:
    assert fault_of_keys(USEFUL) is None


@pytest.mark.parametrize("table", ["client", "secrets"])
@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("isolation.level", "aborted transaction"),
        ("enable.auto.commit", "together with the outputs"),
        ("group.id", r"rank\.group"),
        ("transactional.id", r"loop\.instance"),
        ("enable.idempotence", "written twice"),
        ("partitioner", "in one partition"),
        ("bootstrap.servers", r"kafka\.bootstrap_servers"),
        ("session.timeout.ms", r"kafka\.session_timeout_ms"),
    ],
)
def test_a_promise_may_not_be_broken(table: str, key: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"STREAM_SCORER_KAFKA__{table.upper()}", f'{{"client.id": "a", "{key}": "x"}}')
    with pytest.raises(UsageError, match=f"kafka.{table}: .*{key.replace('.', '[.]')} .*{reason}"):
        load_settings({})
