"""What people read of the settings."""

import pytest

from stream_scorer.errors import UsageError
from stream_scorer.settings import Settings
from stream_scorer.settings_shown import describe, described, is_secret, setting_names, shown
from stream_scorer.settings_sources import load_settings

SECRET_KEYS = [
    "sasl.password",
    "ssl.key.password",
    "ssl.keystore.password",
    "ssl.key.pem",
    "sasl.oauthbearer.config",
    "sasl.oauthbearer.client.secret",
    "sasl.oauthbearer.assertion.private.key.passphrase",
    "sasl.oauthbearer.assertion.private.key.pem",
    "sasl.kerberos.kinit.cmd",
    "SASL.Password",
]


def test_every_setting_is_shown() -> None:
    names = [name for name, _ in shown(Settings())]
    assert names == setting_names()
    assert {"kafka.bootstrap_servers", "join.window_ms", "log.level"} <= set(names)


@pytest.mark.parametrize("key", SECRET_KEYS)
def test_kafka_secrets_are_masked_by_name(key: str) -> None:
    assert is_secret(key)
    settings = Settings.model_validate({"kafka": {"client": {key: "hush", "client.id": "loud"}}})
    assert dict(shown(settings))["kafka.client"] == {key: "********", "client.id": "loud"}


def test_other_secrets_are_masked() -> None:
    settings = Settings.model_validate(
        {"kafka": {"secrets": {"any": "hush"}}, "redis": {"url": "redis://me:hush@there/0?password=hush"}}
    )
    values = dict(shown(settings))
    assert "hush" not in str(values)
    assert values["redis.url"] == "redis://me:********@there/0?password=********"


@pytest.mark.parametrize("name", setting_names())
def test_every_setting_says_what_it_means(name: str) -> None:
    said = describe(name)
    assert said.meaning.endswith(".")
    assert said.type


def test_a_setting_describes_itself() -> None:
    described_by_name = {each.name: each for each in described()}
    window, size = described_by_name["join.window_ms"], described_by_name["loop.batch_records_max"]
    assert (window.type, window.unit, window.default) == ("whole number >= 0", "milliseconds", "1800000")
    assert (size.type, size.unit) == ("whole number >= 1 and <= 100,000", None)
    assert described_by_name["loop.delivery"].type == "exactly_once | at_least_once"
    assert described_by_name["rank.offer_features"].type == "list or null"


def test_a_signing_key_is_never_shown() -> None:
    settings = load_settings({"redis.signing_key": "0123456789abcdef"}).settings
    assert dict(shown(settings))["redis.signing_key"] == "********"
    with pytest.raises(UsageError, match="must have at least 16 characters") as refused:
        load_settings({"redis.signing_key": "tiny"})
    assert "tiny" not in str(refused.value)
