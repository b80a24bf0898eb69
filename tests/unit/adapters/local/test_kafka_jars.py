"""Where Kafka's jars come from, and what is said when they cannot come."""

import threading
from pathlib import Path

import pytest

from stream_scorer.adapters.local.kafka_jars import java, kafka_jars, kafka_pom
from stream_scorer.errors import NotReady

COPIES = """#!/bin/sh
for word in "$@"; do case "$word" in -DoutputDirectory=*) folder="${word#*=}";; esac; done
mkdir -p "$folder" && touch "$folder/kafka_2.13-0.jar" && echo ran >> "$RUNS"
"""
BREAKS_OFF = """#!/bin/sh
for word in "$@"; do case "$word" in -DoutputDirectory=*) folder="${word#*=}";; esac; done
mkdir -p "$folder" && touch "$folder/kafka_2.13-0.jar"
echo "no route to the repository"; exit 1
"""


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that comes first on the PATH."""
    folder = tmp_path / "tools"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("RUNS", str(tmp_path / "runs"))
    return folder


def put(tools: Path, name: str, script: str) -> None:
    (tools / name).write_text(script)
    (tools / name).chmod(0o755)


def test_missing_java_comes_with_advice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotReady, match="openjdk-17-jre-headless"):
        java()


def test_missing_maven_comes_with_advice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotReady, match=r"Debian: maven.*KAFKA_HOME"):
        kafka_jars(kafka_home=None, cache=tmp_path / "cache")


def test_a_wrong_kafka_home_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotReady, match=str(tmp_path)):
        kafka_jars(kafka_home=tmp_path, cache=tmp_path / "cache")


def test_a_kafka_home_is_used(tmp_path: Path) -> None:
    (tmp_path / "libs").mkdir()
    (tmp_path / "libs" / "kafka_2.13-4.3.1.jar").touch()
    assert kafka_jars(kafka_home=tmp_path, cache=tmp_path / "cache") == tmp_path / "libs"


def test_a_broken_download_leaves_nothing(tools: Path, tmp_path: Path) -> None:
    put(tools, "mvn", BREAKS_OFF)
    with pytest.raises(NotReady, match="no route to the repository"):
        kafka_jars(kafka_home=None, cache=tmp_path / "cache")
    assert [each.name for each in (tmp_path / "cache").iterdir()] == [".lock"]


def test_several_who_ask_together_download_once(tools: Path, tmp_path: Path) -> None:
    put(tools, "mvn", COPIES)
    found: list[Path] = []
    asking = [
        threading.Thread(target=lambda: found.append(kafka_jars(kafka_home=None, cache=tmp_path / "cache")))
        for _ in range(4)
    ]
    for each in asking:
        each.start()
    for each in asking:
        each.join()
    assert len(set(found)) == 1
    assert (tmp_path / "runs").read_text() == "ran\n"


def test_each_list_of_jars_has_a_folder(tools: Path, tmp_path: Path) -> None:
    put(tools, "mvn", COPIES)
    folder = kafka_jars(kafka_home=None, cache=tmp_path / "cache")
    assert folder.name.startswith("kafka-4.")
    assert kafka_pom().name.endswith("pom.xml")
