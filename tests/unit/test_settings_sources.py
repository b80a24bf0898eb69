"""Settings from flags, variables and a file."""

import os
from pathlib import Path

import pytest

from stream_scorer.errors import UsageError
from stream_scorer.settings import Settings
from stream_scorer.settings_sources import as_variables, load_settings


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


def test_flags_beat_variables_beat_files(toml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
        ("[lop]\npoll_s = 1", r"no such setting: lop\.poll_s .* did you mean loop\.poll_s\?"),
        ("[loop]\npoll = 1", r"no such setting: loop\.poll .* did you mean loop\.poll_s\?"),
        ("[loop]\npoll_s = 0", r"loop\.poll_s: Input should be greater than 0, got 0 .*settings\.toml"),
        ('[loop]\ndelivery = "once"', r"loop\.delivery: Input should be 'exactly_once' or 'at_least_once', got 'once'"),
        ("loop = 1", r"loop must be a table"),
        ("loop", r"is not TOML"),
    ],
)
def test_faults_of_the_file_are_named(toml: Path, text: str, sentence: str) -> None:
    toml.write_text(text)
    with pytest.raises(UsageError, match=sentence):
        load_settings({}, file=toml)


@pytest.mark.parametrize(
    ("variable", "nearest"),
    [
        ("STREAM_SCORER_LOOP__POL_S", "STREAM_SCORER_LOOP__POLL_S"),
        ("STREAM_SCORER_REDIS_URL", "STREAM_SCORER_REDIS__URL"),
        ("STREAM_SCORER_CONFG", "STREAM_SCORER_CONFIG"),
    ],
)
def test_unknown_variables_meet_the_nearest_name(variable: str, nearest: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "1")
    with pytest.raises(UsageError, match=f"{variable}: did you mean {nearest}"):
        load_settings({})


def test_an_odd_name_meets_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAM_SCORER_FOO", "1")
    with pytest.raises(UsageError, match="STREAM_SCORER_FOO: `stream-scorer settings` lists them all"):
        load_settings({})


def test_the_files_variable_is_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAM_SCORER_CONFIG", "elsewhere.toml")
    assert load_settings({}).settings == Settings()


def test_kafka_keys_pass_from_every_source(toml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toml.write_text('[kafka.client]\n"security.protocol" = "sasl_ssl"\n"client.id" = "file"')
    monkeypatch.setenv("STREAM_SCORER_KAFKA__CLIENT", '{"client.id": "variable"}')
    monkeypatch.setenv("STREAM_SCORER_KAFKA__SECRETS", '{"sasl.password": "hush"}')
    config = load_settings({}, file=toml).settings.kafka.client_config()
    assert (config["security.protocol"], config["client.id"], config["sasl.password"]) == (
        "sasl_ssl",
        "variable",
        "hush",
    )


SERVICE = {
    "STREAM_SCORER_SERVICE_HOST": "10.96.0.7",
    "STREAM_SCORER_SERVICE_PORT": "8080",
    "STREAM_SCORER_SERVICE_PORT_METRICS": "8080",
    "STREAM_SCORER_PORT": "tcp://10.96.0.7:8080",
    "STREAM_SCORER_PORT_8080_TCP": "tcp://10.96.0.7:8080",
    "STREAM_SCORER_PORT_8080_TCP_PROTO": "tcp",
    "STREAM_SCORER_PORT_8080_TCP_PORT": "8080",
    "STREAM_SCORER_PORT_8080_TCP_ADDR": "10.96.0.7",
    "STREAM_SCORER_METRICS_SERVICE_HOST": "fd00::7",
    "STREAM_SCORER_METRICS_PORT": "udp://[fd00::7]:53",
}


def test_variables_of_a_service_are_ignored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in SERVICE.items():
        monkeypatch.setenv(name, value)
    loaded = load_settings({})
    assert loaded.settings == Settings()
    assert loaded.passed_over == sorted(SERVICE)


@pytest.mark.parametrize(
    ("variable", "value"),
    [("STREAM_SCORER_METRICS_PORT", "9100"), ("STREAM_SCORER_PORT", "9100"), ("STREAM_SCORER_SERVICE_HOST", "kafka")],
)
def test_mistyped_settings_are_not_ignored(variable: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(UsageError, match=variable):
        load_settings({})


def test_a_table_shows_all_its_origins(toml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toml.write_text('[kafka.client]\n"client.id" = "file"')
    monkeypatch.setenv("STREAM_SCORER_KAFKA__CLIENT", '{"acks": "all"}')
    monkeypatch.setenv("STREAM_SCORER_KAFKA__SECRETS__sasl.password", "hush")
    origins = load_settings({}, file=toml).origins
    assert origins["kafka.client"] == f"{toml}, STREAM_SCORER_KAFKA__CLIENT"
    assert origins["kafka.secrets"] == "STREAM_SCORER_KAFKA__SECRETS__SASL.PASSWORD"


def test_a_json_section_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAM_SCORER_LOOP", '{"poll_s": 3}')
    assert load_settings({}).origins["loop.poll_s"] == "STREAM_SCORER_LOOP"


def test_kafka_keys_need_no_quotes(toml: Path) -> None:
    toml.write_text('[kafka.client]\nsecurity.protocol = "ssl"')
    assert load_settings({}, file=toml).settings.kafka.client == {"security.protocol": "ssl"}


def test_an_empty_unknown_table_is_refused(toml: Path) -> None:
    toml.write_text("[lop]")
    with pytest.raises(UsageError, match="no such setting: lop"):
        load_settings({}, file=toml)


@pytest.mark.parametrize("text", ["a = " + "[" * 5_000, "kafka.client = " + "{a = " * 2_000])
def test_a_deep_file_is_refused(toml: Path, text: str) -> None:
    toml.write_text(text)
    with pytest.raises(UsageError, match=str(toml)):
        load_settings({}, file=toml)


def test_the_buffers_tilde_is_the_home(toml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    toml.write_text('buffer.folder = "~/labels"')
    assert load_settings({}, file=toml).settings.buffer.folder == "/home/me/labels"


@pytest.mark.parametrize(
    "text",
    [
        'redis.url = "redis://me:hu/sh@there:1"',
        'redis.url = "redis://me:hu#sh@there:1"',
        'kafka.client."sasl.password" = ["hush"]',
        'kafka.client = "sasl.password=hush"',
        'kafka.secrets."x" = ["hush"]',
    ],
)
def test_an_error_shows_no_secret(toml: Path, text: str) -> None:
    toml.write_text(text)
    with pytest.raises(UsageError) as refused:
        load_settings({}, file=toml)
    assert "hu" not in str(refused.value)


def test_a_wrong_secret_stays_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAM_SCORER_KAFKA__SECRETS", '{"sasl.password": ["hush"]}')
    with pytest.raises(UsageError) as refused:
        load_settings({})
    assert "hush" not in str(refused.value)


def test_settings_made_by_hand_read_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAM_SCORER_TOPICS__REQUESTS", "variable")
    assert Settings().topics.requests == "customer-requests"


def test_flags_become_equal_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    flags = {
        "loop.delivery": "at_least_once",
        "metrics.port": 9,
        "rank.offer_features": ["price"],
        "log.level": "debug",
    }
    for name, value in as_variables(flags).items():
        monkeypatch.setenv(name, value)
    assert load_settings({}).settings == load_settings(flags).settings
