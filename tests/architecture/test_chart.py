"""The Helm chart fits what it deploys: settings, commands, pages and groups. `make chart` lets helm itself judge it."""

import inspect
import json
import re
import subprocess
from collections.abc import Iterator
from functools import reduce
from importlib import import_module
from typing import Any

import jsonschema
import pytest
import yaml
from prometheus_client import CollectorRegistry

import stream_scorer
from stream_scorer.adapters.local.clock import HandClock
from stream_scorer.cli import COMMANDS
from stream_scorer.health import Health, pages_of
from stream_scorer.settings import Settings
from stream_scorer.settings_sources import load_settings
from tests.chart_files import CHART, RENDERED, digest, rendered_digest, values_schema
from tests.real_helm import real_helm

VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
EVERYTHING: dict[str, Any] = yaml.safe_load((CHART / "ci" / "everything-values.yaml").read_text())
RESOURCES: list[dict[str, Any]] = [each for each in yaml.safe_load_all(RENDERED.read_text()) if each]
SECRETS = {
    "kafka": '{"sasl.password": "x"}',
    "redis-url": "redis://:x@host:6379/0",
    "signing-key": "0123456789abcdef",
    "registry": '{"basic.auth.user.info": "scorer:x"}',
}


def pods() -> Iterator[dict[str, Any]]:
    for each in RESOURCES:
        spec = each["spec"].get("jobTemplate", each).get("spec", each["spec"])
        if "template" in spec:
            yield spec["template"]["spec"]


CONTAINERS = {pod["containers"][0]["name"]: pod["containers"][0] for pod in pods()}
STREAMING = ("rankers", "joiners", "buffer", "refresh")
DOORS = ("http", "ui")


EVERY_PART = ("--kube-version", "v1.34.1", "--values", str(CHART / "ci" / "everything-values.yaml"))


@pytest.fixture(scope="module")
def helm() -> str:
    """helm itself; the tests that use it are skipped where it cannot be had."""
    try:
        return real_helm()
    except LookupError as error:
        pytest.skip(str(error))


@pytest.mark.may_skip
def test_helm_renders_what_is_kept(helm: str) -> None:
    left_out = "monitoring.dashboard=false,monitoring.prometheusRule=false"
    command = [helm, "template", "ring", str(CHART), *EVERY_PART, "--set", left_out]
    rendered = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    assert [each for each in yaml.safe_load_all(rendered) if each] == RESOURCES


@pytest.mark.may_skip
@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ("buffer.folder=/data", "is lost with its pod: name a claim"),
        ("settings.join.windows_ms=1", "windows_ms"),
        ("http.enabled=true,http.ingress.enabled=true,buffer.folder=s3://bucket/labels", "http.ingress needs a host"),
    ],
)
def test_helm_refuses_wrong_values(wrong: str, sentence: str, helm: str) -> None:
    command = [helm, "template", "ring", str(CHART), *EVERY_PART[:2], "--set", wrong]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.returncode, sentence in done.stderr) == (1, True), done.stderr


def merged(below: Any, above: Any) -> Any:
    """Return what helm makes of two files of values."""
    if isinstance(below, dict) and isinstance(above, dict):
        return {key: merged(below.get(key), above.get(key, below.get(key))) for key in below | above}
    return above


def test_what_was_rendered_is_this_chart() -> None:
    assert rendered_digest() == digest(), "run `make chart`"


def test_the_chart_deploys_this_version() -> None:
    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"] == stream_scorer.__version__


def test_the_values_schema_is_in_step() -> None:
    assert json.loads((CHART / "values.schema.json").read_text()) == values_schema(), "run `make schemas`"


@pytest.mark.parametrize("above", [{}, EVERYTHING])
def test_the_values_fit_their_schema(above: dict[str, Any]) -> None:
    jsonschema.validate(merged(VALUES, above), values_schema())


@pytest.mark.parametrize(
    "path",
    [
        "settings.join.windows_ms",
        "settings.http.port",
        "http.ingress.hosts",
        "settings.loop.instance",
        "rankers.replica",
    ],
)
def test_unknown_values_are_refused(path: str) -> None:
    wrong: dict[str, Any] = reduce(lambda inner, name: {name: inner}, reversed(path.split(".")), 1)  # type: ignore[arg-type]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(merged(VALUES, wrong), values_schema())


def test_templates_use_values_that_exist() -> None:
    text = "".join(each.read_text() for each in (CHART / "templates").iterdir())
    for path in re.findall(r"\.Values\.([\w.]+)", text):
        reduce(lambda table, name: table[name], path.split("."), VALUES)


@pytest.mark.parametrize("name", CONTAINERS)
def test_settings_of_a_pod_can_be_read(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in CONTAINERS[name]["env"]:
        secret = variable.get("valueFrom", {}).get("secretKeyRef", {}).get("key")
        monkeypatch.setenv(variable["name"], SECRETS[secret] if secret else variable.get("value", "ring-rankers-0"))
    settings = load_settings({}).settings
    assert settings.kafka.client_config()["sasl.password"] == "x"
    assert (settings.join.window_ms, settings.metrics.port) == (1_800_000, 9100)
    assert (settings.loop.instance is not None) == (name in (*STREAMING, *DOORS))


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_pod_runs_a_command_that_exists(name: str) -> None:
    command, *options = CONTAINERS[name]["args"]
    parameters = inspect.signature(getattr(import_module(f"stream_scorer.cli.{command}"), command)).parameters
    assert command in COMMANDS
    assert {each.removeprefix("--") for each in options if each.startswith("--")} <= set(parameters)


@pytest.mark.parametrize("name", DOORS)
def test_a_door_listens_where_it_is_sought(name: str) -> None:
    ports = {port["name"]: port["containerPort"] for port in CONTAINERS[name]["ports"]}
    (service,) = [each for each in RESOURCES if each["kind"] == "Service" and name in each["metadata"]["name"]]
    (ingress,) = [each for each in RESOURCES if each["kind"] == "Ingress" and name in each["metadata"]["name"]]
    (rule,) = ingress["spec"]["rules"]
    backend = rule["http"]["paths"][0]["backend"]["service"]
    assert CONTAINERS[name]["args"][1:] == ["--address", "0.0.0.0", "--port", str(ports["http"])]
    assert service["spec"]["ports"][0]["targetPort"] == "http"
    assert backend == {"name": service["metadata"]["name"], "port": {"name": service["spec"]["ports"][0]["name"]}}


def test_the_page_knows_its_names_and_workers() -> None:
    given = {each["name"]: each.get("value") for each in CONTAINERS["ui"]["env"]}
    (rule,) = [
        each["spec"]["rules"][0] for each in RESOURCES if each["kind"] == "Ingress" and "ui" in str(each["spec"])
    ]
    pages = json.loads(given["STREAM_SCORER_UI__WORKERS"])
    service = next(each["spec"]["serviceName"] for each in RESOURCES if each["kind"] == "StatefulSet")
    assert rule["host"] in json.loads(given["STREAM_SCORER_UI__HOSTS"])
    assert f"http://{service}-rankers-0.{service}:9100/metrics" in pages


def test_only_named_callers_reach_a_door() -> None:
    policies = {each["metadata"]["name"]: each["spec"] for each in RESOURCES if each["kind"] == "NetworkPolicy"}
    for name in DOORS:
        (rule,) = policies[f"ring-stream-scorer-{name}"]["ingress"]
        assert (rule["from"], rule["ports"][0]["port"]) == (EVERYTHING[name]["callers"], "http")


@pytest.mark.parametrize("name", [*STREAMING, *DOORS])
def test_a_component_survives_a_drained_node(name: str) -> None:
    budgets = [each["spec"] for each in RESOURCES if each["kind"] == "PodDisruptionBudget"]
    chosen = [each["selector"]["matchLabels"]["app.kubernetes.io/component"] for each in budgets]
    assert chosen.count(name) == 1


@pytest.mark.parametrize("name", [*STREAMING, *DOORS])
def test_probes_ask_pages_that_are_served(name: str) -> None:
    serve = pages_of(Health(HandClock(0), stalled_after_s=1), CollectorRegistry())
    statuses: list[str] = []
    for probe in ("startup", "liveness", "readiness"):
        path = CONTAINERS[name][f"{probe}Probe"]["httpGet"]["path"]
        serve({"PATH_INFO": path}, lambda status, headers: statuses.append(status))
    assert statuses == ["503 Service Unavailable", "200 OK", "503 Service Unavailable"]


def test_pods_are_restricted() -> None:
    for pod in pods():
        [container] = pod["containers"]
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert not container["securityContext"]["allowPrivilegeEscalation"]
        assert {"requests", "limits"} <= container["resources"].keys()


def test_lag_is_that_of_our_groups() -> None:
    settings = Settings()
    scaled = [each for each in RESOURCES if each["kind"] == "ScaledObject"]
    asked = {
        (trigger["metadata"]["consumerGroup"], trigger["metadata"]["topic"])
        for each in scaled
        for trigger in each["spec"]["triggers"]
    }
    topics = settings.topics
    assert asked == {
        (settings.rank.group, topics.requests),
        (settings.rank.group, topics.acceptances),
        (settings.join.group, topics.rankings),
        (settings.join.group, topics.outcomes),
    }
