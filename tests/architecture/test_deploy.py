"""What is deployed fits what is built: commands, settings, files and versions; parsed here, without docker."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from stream_scorer.adapters.local.kafka_jars import kafka_pom
from stream_scorer.cli import COMMANDS
from stream_scorer.settings_shown import setting_names

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()
JOBS = {name: service for name, service in SERVICES.items() if service["image"].startswith("stream-scorer")}


def commands_of(service: dict[str, Any]) -> str:
    """Return the words behind `stream-scorer` when the container starts."""
    return (
        str(service["entrypoint"][-1]).split("stream-scorer ")[1]
        if "entrypoint" in service
        else shlex.join(service["command"])
    )


def instructions() -> Iterator[tuple[str, str]]:
    joined = re.sub(r"\\\n", " ", DOCKERFILE)
    for line in joined.splitlines():
        if line and not line.startswith("#"):
            name, _, rest = line.partition(" ")
            yield name, rest


def faults(compose: dict[str, Any]) -> list[str]:
    specification = json.loads((ROOT / "tests" / "compose-spec.json").read_text())
    return [each.message for each in jsonschema.Draft7Validator(specification).iter_errors(compose)]


def test_services_fit_the_compose_specification() -> None:
    assert faults(COMPOSE) == []


def test_an_unknown_key_is_seen() -> None:
    assert faults({"services": {"ranker": {"image": "stream-scorer", "health_check": {}}}}) != []


@pytest.mark.parametrize("name", JOBS)
def test_a_job_runs_a_command_that_exists(name: str) -> None:
    assert commands_of(JOBS[name]).split()[0] in COMMANDS


@pytest.mark.parametrize("name", SERVICES)
def test_compose_services_wait_for_existing_ones(name: str) -> None:
    assert set(SERVICES[name].get("depends_on", {})) <= set(SERVICES)


@pytest.mark.parametrize("name", SERVICES)
def test_a_volume_is_declared(name: str) -> None:
    mounted = [each for each in SERVICES[name].get("volumes", []) if isinstance(each, str)]
    assert {each.split(":")[0] for each in mounted} <= set(COMPOSE["volumes"])


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_has_bounds(name: str) -> None:
    assert SERVICES[name]["deploy"]["resources"]["limits"]["memory"]
    assert SERVICES[name]["logging"]["options"].keys() == {"max-size", "max-file"}


def test_health_checks_start_no_java() -> None:
    assert not [name for name, each in SERVICES.items() if ".sh" in str(each.get("healthcheck"))]


def test_the_ring_learns_from_its_buffer() -> None:
    words = SERVICES["retrain"]["command"]
    assert words[words.index("--labels") + 1] in SERVICES["buffer"]["command"]
    assert set(SERVICES["buffer"]["volumes"]) <= {str(each) for each in SERVICES["retrain"]["volumes"]}


def test_the_variables_given_are_settings() -> None:
    given = set(re.findall(r"STREAM_SCORER_[A-Z_]+", DOCKERFILE + (ROOT / "docker-compose.yml").read_text()))
    assert given <= {f"STREAM_SCORER_{name.upper().replace('.', '__')}" for name in setting_names()}


def test_containers_run_the_tested_kafka() -> None:
    version = re.search(r"<kafka.version>(.+)</kafka.version>", kafka_pom().read_text())
    assert version is not None
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{version[1]}"


def test_image_copies_exist_and_are_not_ignored() -> None:
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for name, rest in instructions():
        if name == "COPY" and "--from" not in rest:
            for source in rest.split()[:-1]:
                assert (ROOT / source).exists(), source
                assert any(each.startswith(source) for each in kept), source


def test_the_image_runs_as_nobody_in_particular() -> None:
    assert [rest for name, rest in instructions() if name == "USER"] == ["10001:10001"]


@pytest.mark.parametrize("extra", ["parquet", "http", "train"])
def test_image_extras_have_a_lock(extra: str) -> None:
    lock = (ROOT / "requirements" / f"{extra}.txt").read_text()
    assert ("torch==" in lock) == (extra == "train")
    assert "://" not in lock
