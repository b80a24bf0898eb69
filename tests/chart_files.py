"""What `make chart` writes of the Helm chart beside the templates.

python -m tests.chart_files values                    values.schema.json, from the settings
python -m tests.chart_files rendered < TEMPLATED      what helm made of the chart, under the chart's digest
python -m tests.chart_files kubernetes OUT FILE ...   for kubeconform, of Kubernetes' swagger.json and CRDs
python -m tests.chart_files accepted < VERSION        which promtool accepted the alerts as they are, and their tests
"""

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from stream_scorer.settings import Settings

DEPLOY = Path(__file__).parents[1] / "deploy" / "helm"
CHART = DEPLOY / "stream-scorer"
RENDERED = DEPLOY / "rendered.yaml"
ALERTS = CHART / "monitoring" / "alerts.yaml"
ALERT_TESTS = Path(__file__).parent / "alerts.yaml"
# what the chart itself gives to every pod, or takes from Secrets
OWN = {
    "buffer": {"folder"},
    "http": {"address", "port"},
    "kafka": {"secrets"},
    "log": {"format"},
    "loop": {"instance"},
    "metrics": {"port", "address"},
    "redis": {"signing_key"},
    "ui": {"address", "port", "hosts", "workers"},
    "wire": {"registry"},
}
_DIGEST = "# sha256 of the chart: "

Schema = dict[str, Any]
TEXT: Schema = {"type": "string"}
SWITCH: Schema = {"type": "boolean"}
COUNT: Schema = {"type": "integer", "minimum": 1}
ANY_TABLE: Schema = {"type": "object"}
ANY_LIST: Schema = {"type": "array", "items": ANY_TABLE}
PORT: Schema = {"type": "integer", "minimum": 1, "maximum": 65_535}
PORTS: Schema = {"type": "array", "items": PORT}


def _table(**entries: Schema) -> Schema:
    return {"type": "object", "additionalProperties": False, "required": list(entries), "properties": entries}


def _job(**entries: Schema) -> Schema:
    return _table(enabled=SWITCH, replicas={"type": "integer", "minimum": 0}, resources=ANY_TABLE, **entries)


def _door(image: Schema, **entries: Schema) -> Schema:
    texts = dict.fromkeys(("className", "host", "tlsSecret"), TEXT)
    return _job(
        image=image,
        servicePort=PORT,
        callers=ANY_LIST,
        ingress=_table(enabled=SWITCH, annotations=ANY_TABLE, **texts),
        **entries,
    )


def values_schema() -> Schema:
    """Return the JSON Schema of the chart's values; `settings` takes what the chart does not give itself."""
    image = _table(repository=TEXT, tag=TEXT, pullPolicy={"enum": ["Always", "IfNotPresent", "Never"]})
    secret = _table(name=TEXT, key=TEXT)
    scaled = _table(minReplicas=COUNT, maxReplicas=COUNT, lagThreshold=COUNT)
    values = _table(
        image=image,
        imagePullSecrets=ANY_LIST,
        settings={"$ref": "#/$defs/Settings"},
        existingSecrets=_table(kafka=secret, redisUrl=secret, signingKey=secret, registry=secret),
        metricsPort={"type": "integer", "minimum": 1024, "maximum": 65_535},
        terminationGracePeriodSeconds=COUNT,
        serviceAccount=_table(name=TEXT),
        extraEnv=ANY_LIST,
        extraVolumes=ANY_LIST,
        extraVolumeMounts=ANY_LIST,
        nodeSelector=ANY_TABLE,
        tolerations=ANY_LIST,
        podAnnotations=ANY_TABLE,
        rankers=_job(autoscaling=scaled),
        joiners=_job(autoscaling=scaled),
        buffer=_job(folder=TEXT, claim=TEXT),
        refresh=_job(),
        retrain=_table(
            enabled=SWITCH,
            image=image,
            schedule=TEXT,
            deadlineSeconds=COUNT,
            offers={"type": "string", "pattern": "^/offers/"},
            offersVolume=ANY_TABLE,
            arguments={"type": "array", "items": TEXT},
            resources=ANY_TABLE,
        ),
        http=_door(image),
        ui=_door(image, hosts={"type": "array", "items": TEXT}),
        topics=_table(enabled=SWITCH),
        podDisruptionBudget=_table(enabled=SWITCH, maxUnavailable={"type": ["integer", "string"]}),
        networkPolicy=_table(
            enabled=SWITCH,
            scrapers=ANY_LIST,
            kafkaPorts=PORTS,
            redisPorts=PORTS,
            objectStorePorts=PORTS,
            otherPorts=PORTS,
        ),
        keda=_table(enabled=SWITCH, cooldownSeconds=COUNT, authenticationRef=TEXT),
        monitoring=_table(podMonitor=SWITCH, prometheusRule=SWITCH, dashboard=SWITCH),
    )
    values["properties"]["global"] = ANY_TABLE  # helm gives it to every chart
    return {"$schema": "http://json-schema.org/draft-07/schema#", **values, "$defs": _settings_schema()}


def _settings_schema() -> Schema:
    whole = Settings.model_json_schema()
    sections: Schema = whole.pop("$defs")
    for name, field in Settings.model_fields.items():
        properties = sections[getattr(field.annotation, "__name__", "")]["properties"]
        for own in OWN.get(name, ()):
            del properties[own]
    plain: Schema = _without_remarks({**sections, "Settings": whole})
    return plain


def _without_remarks(node: Any) -> Any:
    """Leave out what is for readers of settings alone; a property may bear such a name, and then is a table."""
    if isinstance(node, dict):
        return {
            key: _without_remarks(each)
            for key, each in node.items()
            if key not in {"title", "description", "default", "writeOnly", "format"} or isinstance(each, dict)
        }
    return [_without_remarks(each) for each in node] if isinstance(node, list) else node


def digest() -> str:
    """Return a digest of all from which helm renders the chart: not of what only checks values, nor of monitoring."""
    files = [each for each in sorted(CHART.rglob("*")) if each.suffix in {".yaml", ".tpl"}]
    files = [each for each in files if each.parent.name != "monitoring"]
    content = "".join(f"{each.relative_to(CHART)}\n{each.read_text()}\n" for each in files)
    return hashlib.sha256(content.encode()).hexdigest()


def rendered_digest() -> str:
    """Return the digest of the chart that was rendered last."""
    return RENDERED.read_text().splitlines()[0].removeprefix(_DIGEST)


def alerts_digest() -> str:
    """Return a digest of the alerts and of their tests, less the first line, which states the digest."""
    tests = ALERT_TESTS.read_text().split("\n", 1)[1]
    return hashlib.sha256(f"{ALERTS.read_text()}\n{tests}".encode()).hexdigest()


def _accepted_by(version: str) -> None:
    """Write who accepted the alerts at the head of their tests; `version` is what promtool says of itself."""
    head = f"# accepted by {version.partition(' (')[0]}, sha256 of alerts and tests: {alerts_digest()}"
    ALERT_TESTS.write_text(f"{head}\n{ALERT_TESTS.read_text().split(chr(10), 1)[1]}")


def kubernetes_schemas(path: Path) -> Iterator[tuple[str, Schema]]:
    """Yield the schemas of a swagger.json or of a custom resource's definition, by the names that kubeconform asks for.

    Unknown fields are refused, as by an API server that is asked to validate strictly.
    """
    document = yaml.load(path.read_text(), yaml.CSafeLoader)
    if "definitions" not in document:
        for version in document["spec"]["versions"]:
            group = document["spec"]["group"].split(".")[0]
            name = f"{document['spec']['names']['kind']}-{group}-{version['name']}".lower()
            yield name, _strict(version["schema"]["openAPIV3Schema"])
        return
    definitions = {name: _strict(each) for name, each in document["definitions"].items()}
    definitions["io.k8s.apimachinery.pkg.util.intstr.IntOrString"] = {"type": ["string", "integer"]}
    definitions["io.k8s.apimachinery.pkg.api.resource.Quantity"] = {"type": ["string", "number"]}
    for name, each in document["definitions"].items():
        for kind in each.get("x-kubernetes-group-version-kind", ())[:1]:
            parts = [kind["kind"], *filter(None, [kind["group"].split(".")[0]]), kind["version"]]
            yield "-".join(parts).lower(), {"$ref": f"#/definitions/{name}", "definitions": definitions}


def _strict(node: Any) -> Any:
    if isinstance(node, dict):
        strict = {key: _strict(each) for key, each in node.items()}
        closed = (
            isinstance(strict.get("properties"), dict) and "type" in strict and "additionalProperties" not in strict
        )
        return {**strict, "additionalProperties": False} if closed else strict
    return [_strict(each) for each in node] if isinstance(node, list) else node


def _main(what: str, *arguments: str) -> None:
    if what == "values":
        (CHART / "values.schema.json").write_text(json.dumps(values_schema(), indent=1) + "\n")
    elif what == "accepted":
        _accepted_by(sys.stdin.readline())
    elif what == "rendered":
        lines = [line.rstrip() for line in sys.stdin.read().splitlines()]
        RENDERED.write_text("\n".join([_DIGEST + digest(), *lines, ""]))
    else:
        out, *files = map(Path, arguments)
        out.mkdir(parents=True, exist_ok=True)
        rendered = [each for each in yaml.safe_load_all(RENDERED.read_text()) if each]
        wanted = {_schema_name(each) for each in rendered} | {"configmap-v1"}
        for file in files:
            for name, schema in kubernetes_schemas(file):
                if name in wanted:
                    (out / f"{name}.json").write_text(json.dumps(schema))


def _schema_name(resource: Schema) -> str:
    group, _, version = resource["apiVersion"].rpartition("/")
    return "-".join([resource["kind"], *filter(None, [group.split(".")[0]]), version]).lower()


if __name__ == "__main__":
    _main(*sys.argv[1:])
