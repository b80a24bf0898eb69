"""Alerts and dashboard ask for metrics and labels that the jobs serve."""

import json
import re
from collections.abc import Iterator

import pytest
import yaml

from tests.architecture.test_docs import DOCUMENTS
from tests.chart_files import ALERT_TESTS, CHART, alerts_digest
from tests.served_metrics import families

OF_PROMETHEUS = {"instance", "namespace"}  # labels of the target, which Prometheus gives
WORDS = {"sum", "max", "count", "rate", "increase", "changes", "histogram_quantile", "label_values"}
WORDS |= {"by", "on", "and", "unless", "group_left"}


def served() -> dict[str, dict[str, set[str]]]:
    """Return every sample that jobs serve, its labels and their values."""
    labels: dict[str, dict[str, set[str]]] = {}
    for family in families():
        for sample in family.samples:
            values = labels.setdefault(sample.name, {})
            for label, value in sample.labels.items():
                values.setdefault(label, set()).add(value)
    return labels


def alerts() -> Iterator[str]:
    for group in yaml.safe_load((CHART / "monitoring" / "alerts.yaml").read_text())["groups"]:
        yield from (rule["expr"] for rule in group["rules"])


def panels() -> Iterator[str]:
    dashboard = json.loads((CHART / "monitoring" / "dashboard.json").read_text())
    yield from (target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ()))
    yield from (each["definition"] for each in dashboard["templating"]["list"] if "definition" in each)


QUERIES = [*alerts(), *panels()]
MATCHER = re.compile(r'(\w+)[=!][=~]?"([^"$]*)"')  # without variables of the dashboard


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_asks_for_what_is_served(query: str) -> None:
    labels = served()
    bare = re.sub(r'"[^"]*"|\[[^\]]*\]', "", query)
    names = set(re.findall(r"\b[a-z]\w+", bare)) - WORDS
    metrics = {name for name in names if name.startswith(("stream_scorer_", "messaging_", "process_"))}
    metrics -= {label for each in labels.values() for label in each}  # attributes of messages are labels
    assert metrics
    assert metrics <= labels.keys()
    assert names - metrics <= set.union(OF_PROMETHEUS, *(labels[each] for each in metrics))


@pytest.mark.parametrize("query", [each for each in QUERIES if MATCHER.search(each)])
def test_a_query_asks_for_values_that_occur(query: str) -> None:
    values = {(label, each) for labels in served().values() for label in labels for each in labels[label]}
    assert {(label, each) for label, asked in MATCHER.findall(query) for each in asked.split("|")} <= values


def test_promtool_has_accepted_these_alerts() -> None:
    head = ALERT_TESTS.read_text().splitlines()[0]
    assert re.fullmatch(r"# accepted by promtool, version [\w.+]+, .*: " + alerts_digest(), head), "run `make alerts`"


def test_every_metric_is_served_with_a_sample() -> None:
    assert [family.name for family in families() if not family.samples] == []


def test_metrics_that_documents_name_exist() -> None:
    labels = {label for each in served().values() for label in each}
    known = {*served(), *(family.name for family in families()), *labels}
    named = {
        (page.name, name)
        for page in DOCUMENTS
        if page.parent.name != "adr"  # a decision may name what it did away with
        for name in re.findall(r"\b((?:stream_scorer|messaging)_\w*[a-z]_\w+)\b", page.read_text())
    }
    assert {each for each in named if each[1] not in known} == set()


def test_metrics_named_in_short_exist() -> None:
    known = {name.removeprefix("stream_scorer_") for name in served()}
    named = {name for page in DOCUMENTS for name in re.findall(r"`([a-z]+_[a-z_]+)\{[a-z_,]+\}`", page.read_text())}
    assert {"answers_total", "labels_total"} <= named <= known


@pytest.mark.parametrize("alert", ["summary", "action"])
def test_every_alert_says_what_to_do(alert: str) -> None:
    [group] = yaml.safe_load((CHART / "monitoring" / "alerts.yaml").read_text())["groups"]
    assert all(rule["annotations"][alert] and rule["labels"]["severity"] for rule in group["rules"])


def test_the_labels_of_alerts_exist() -> None:
    [group] = yaml.safe_load((CHART / "monitoring" / "alerts.yaml").read_text())["groups"]
    known = set.union(OF_PROMETHEUS, *served().values())
    for rule in group["rules"]:
        assert set(re.findall(r"\$labels\.(\w+)", json.dumps(rule["annotations"]))) <= known


def test_panels_of_the_dashboard_do_not_overlap() -> None:
    dashboard = json.loads((CHART / "monitoring" / "dashboard.json").read_text())
    places = [panel["gridPos"] for panel in dashboard["panels"]]
    cells = [
        (x, y) for at in places for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(cells) == len(set(cells))
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(places)
