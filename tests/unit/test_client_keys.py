"""Which of librdkafka's keys a user may set."""

from operator import attrgetter

import pytest

from stream_scorer.client_keys import _SETTINGS, fault_of_keys
from stream_scorer.errors import UsageError
from stream_scorer.settings import Settings
from stream_scorer.settings_sources import load_settings
from stream_scorer.wiring.brokers import member_config

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
        ("enable.auto.offset.store", "together with the outputs"),
        ("auto.offset.reset", "nothing is lost"),
        ("enable.partition.eof", "where a partition ends"),
        ("delivery.report.only.error", "where its labels were written"),
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


@pytest.mark.parametrize("key", member_config(Settings(), "g"))
def test_a_members_own_keys_are_refused(key: str) -> None:
    assert fault_of_keys([key]) is not None


@pytest.mark.parametrize("setting", _SETTINGS.values())
def test_the_setting_to_use_instead_exists(setting: str) -> None:
    attrgetter(setting)(Settings())
