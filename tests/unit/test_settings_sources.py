"""Settings from flags, variables and a file."""

import os
from pathlib import Path

import pytest

from stream_scorer.errors import UsageError
from stream_scorer.settings import Settings
from stream_scorer.settings_sources import load_settings, setting_names, shown


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper().startswith("STREAM_SCORER_"):
            monkeypatch.delenv(name)


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    return tmp_path / "settings.toml"


def test_without_any_source_the_defaults_hold() -> None:
    loaded = load_settings({})
    assert loaded.settings == Settings()
    assert set(loaded.origins.values()) == {"default"}


def test_a_flag_goes_before_a_variable_and_that_before_the_file(toml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toml.write_text('[topics]\nrequests = "file"\noffers = "file"\noutcomes = "file"')
    monkeypatch.setenv("STREAM_SCORER_TOPICS__REQUESTS", "variable")
    monkeypatch.setenv("STREAM_SCORER_TOPICS__OFFERS", "variable")
    loaded = load_settings({"topics.requests": "flag"}, file=toml)
    topics = loaded.settings.topics
    assert (topics.requests, topics.offers, topics.outcomes) == ("flag", "variable", "file")
    assert loaded.origins["topics.requests"] == "flag"
    assert loaded.origins["topics.offers"] == "STREAM_SCORER_TOPICS__OFFERS"
    assert loaded.origins["topics.outcomes"] == str(toml)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[lop]\npoll_s = 1", r"no such setting: lop\.poll_s .* the nearest is loop\.poll_s"),
        ("[loop]\npoll = 1", r"no such setting: loop\.poll .* the nearest is loop\.poll_s"),
        ("[loop]\npoll_s = 0", r"loop\.poll_s: Input should be greater than 0, got 0 .*settings\.toml"),
        ('[loop]\ndelivery = "once"', r"loop\.delivery: Input should be 'exactly_once' or 'at_least_once', got 'once'"),
        ("loop = 1", r"loop must be a table"),
        ("loop", r"is not TOML"),
    ],
)
def test_what_is_wrong_in_the_file_is_named_with_the_bound_or_the_nearest_name(
    toml: Path, text: str, sentence: str
) -> None:
    toml.write_text(text)
    with pytest.raises(UsageError, match=sentence):
        load_settings({}, file=toml)


@pytest.mark.parametrize(
    ("variable", "nearest"),
    [
        ("STREAM_SCORER_LOOP__POL_S", "STREAM_SCORER_LOOP__POLL_S"),
        ("STREAM_SCORER_REDIS_URL", "STREAM_SCORER_REDIS__URL"),
    ],
)
def test_an_unknown_variable_is_refused_with_the_nearest_name(
    variable: str, nearest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "1")
    with pytest.raises(UsageError, match=f"{variable}; the nearest is {nearest}"):
        load_settings({})


def test_the_variable_that_names_the_file_is_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAM_SCORER_CONFIG", "elsewhere.toml")
    assert load_settings({}).settings == Settings()


def test_any_key_of_the_kafka_client_passes_from_every_source(toml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toml.write_text('[kafka.client]\n"security.protocol" = "sasl_ssl"\n"client.id" = "file"')
    monkeypatch.setenv("STREAM_SCORER_KAFKA__CLIENT", '{"client.id": "variable"}')
    monkeypatch.setenv("STREAM_SCORER_KAFKA__SECRETS", '{"sasl.password": "hush"}')
    config = load_settings({}, file=toml).settings.kafka.client_config()
    assert (config["security.protocol"], config["client.id"], config["sasl.password"]) == (
        "sasl_ssl",
        "variable",
        "hush",
    )


def test_no_secret_is_shown(toml: Path) -> None:
    toml.write_text("""
        redis.url = "redis://me:hush@there:1/0"
        kafka.secrets."sasl.password" = "hush"
        kafka.client."ssl.key.password" = "hush"
        kafka.client."client.id" = "loud"
    """)
    values = dict(shown(load_settings({}, file=toml).settings))
    assert "hush" not in str(values)
    assert values["redis.url"] == "redis://me:********@there:1/0"
    assert values["kafka.client"] == {"ssl.key.password": "********", "client.id": "loud"}


def test_a_wrong_secret_is_not_told_in_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAM_SCORER_KAFKA__SECRETS", '{"sasl.password": ["hush"]}')
    with pytest.raises(UsageError) as refused:
        load_settings({})
    assert "hush" not in str(refused.value)


def test_every_setting_has_a_name_and_is_shown() -> None:
    names = [name for name, _ in shown(Settings())]
    assert names == setting_names()
    assert {"kafka.bootstrap_servers", "join.window_ms", "log.level"} <= set(names)


def test_settings_made_by_hand_read_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAM_SCORER_TOPICS__REQUESTS", "variable")
    assert Settings().topics.requests == "customer-requests"
