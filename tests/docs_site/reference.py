"""The reference of the documentation site, made from what the product itself uses.

An entry is a heading of its own, so that it has an address: `settings.md#join.window_ms`. Links are written as if the
folders `reference` and `explanation` were at the repository's root; `tests.docs_site.site` puts them right.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import typer
import yaml
from prometheus_client.metrics_core import Metric

from stream_scorer.cli import COMMANDS, _typer_of
from stream_scorer.core.wire.letter_codes import CODES
from stream_scorer.schemas import documents
from stream_scorer.settings import Settings
from stream_scorer.settings_shown import Described, described, setting_names
from stream_scorer.topic_plan import topic_specs
from stream_scorer.topic_settings import Topic
from tests.chart_files import CHART
from tests.served_metrics import families, labels_of

Schema = Mapping[str, Any]
ROOT = Path(__file__).parents[2]
_OF_PROCESS = "process_"
_SUMMED_UP = {"counter": "_total", "info": "_info"}
_SIGNS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤"}
_SETTING = re.compile(rf"(?<![`\w.])(?:{'|'.join(map(re.escape, setting_names()))})(?![`\w])")
_MS_A_DAY = 86_400_000


def pages() -> dict[str, str]:
    """Return the text of each page by its place on the site."""
    return {
        "reference/settings.md": _text(_settings()),
        "reference/commands.md": _text(_commands()),
        "reference/topics.md": _text(_topics()),
        "reference/dead-letter-codes.md": _text(_codes()),
        "reference/metrics.md": _text(_metrics()),
        "reference/alerts.md": _text(_alerts()),
        "explanation/decisions.md": _text(_decisions()),
    }


def places() -> dict[str, str]:
    """Return where a name that stands alone as code is explained, as PAGE#ANCHOR."""
    settings = {each.name: f"reference/settings.md#{each.name}" for each in described()}
    metrics = {name: f"reference/metrics.md#{name}" for name in map(metric_name, _ours())}
    codes = {code: f"reference/dead-letter-codes.md#{code}" for code in CODES}
    commands = {f"stream-scorer {name}": f"reference/commands.md#{name}" for name in COMMANDS}
    return settings | metrics | codes | commands


def metric_name(family: Metric) -> str:
    """Return a metric's name as Prometheus is asked for it; of a histogram what its parts begin with."""
    return family.name + _SUMMED_UP.get(family.type, "")


def _text(blocks: Iterable[str]) -> str:
    return "\n\n".join(blocks) + "\n"


def _entry(level: int, name: str, meaning: str, *facts: str) -> Iterator[str]:
    yield f"{'#' * level} `{name}` {{#{name}}}"
    if meaning:
        yield _linked(meaning)
    if facts:
        yield " · ".join(facts)


def _settings() -> Iterator[str]:
    yield "# Settings"
    yield (
        "Every setting has a name, such as `join.window_ms`. Its value comes from a command's option where there is "
        "one, else from the variable, else from the TOML file that `--config` or `STREAM_SCORER_CONFIG` names, "
        "else it is the default. `stream-scorer settings` prints every value and where it came from. What is "
        "unknown or out of bounds is refused, with exit code 2."
    )
    section = ""
    for setting in described():
        if setting.name.split(".")[0] != section:
            section = setting.name.split(".")[0]
            yield f"## {section}"
            yield type(getattr(Settings(), section)).__doc__ or ""
        yield from _entry(3, setting.name, setting.meaning, *_facts(setting))


def _facts(setting: Described) -> Iterator[str]:
    yield setting.type.replace(" | ", " or ").replace("<=", "≤").replace(">=", "≥") + (
        f", in {setting.unit}" if setting.unit else ""
    )
    yield f"default `{setting.default}`"
    yield f"variable `STREAM_SCORER_{setting.name.upper().replace('.', '__')}`"


def _commands() -> Iterator[str]:
    yield "# Commands"
    yield (
        "What `--help` prints, all of it. Before a command, or after its name, stand `--config FILE` and "
        "`--log-level LEVEL`. An option whose default has the name of a setting gives that setting. Exit codes: 0 "
        "done, 1 failed, 2 wrong usage or settings, 130 interrupted."
    )
    for name in COMMANDS:
        command = typer.main.get_command(_typer_of(name))
        commands = {name: command} | {
            f"{name} {each}": inner for each, inner in getattr(command, "commands", {}).items()
        }
        for words, each in commands.items():
            yield from _command(each, typer.Context(each, info_name=f"stream-scorer {words}"), words)


def _command(command: Any, context: typer.Context, name: str) -> Iterator[str]:
    yield f"## {name} {{#{name.replace(' ', '-')}}}"
    yield _linked(command.help)
    yield f"```text\n{command.get_usage(context).removeprefix('Usage: ')}\n```"
    # an option that is hidden has no record
    records = [record for each in command.params if (record := each.get_help_record(context))]
    yield _list_of((f"`{option}`", _linked(_default_in_words(meaning))) for option, meaning in records)


def _default_in_words(meaning: str) -> str:
    return re.sub(r"  \[(.*)\]$", lambda match: f" ({match[1].replace('(', '').replace(')', '')})", meaning)


def _codes() -> Iterator[str]:
    yield "# Dead-letter codes"
    yield (
        "Each record that could not be processed has one of these codes in its header `error.code`, and the exact "
        "reason, with the field and the bound, in `error.message`. Nothing stops for it: the stream has gone on. "
        "See [how to look at dead letters and send them again](../docs/dead-letters.md). Of the jobs that an entry "
        "names, those that read the record's topic write the code."
    )
    for code, about in CODES.items():
        yield from _entry(2, code, f"**Cause.** {about.cause}")
        yield f"**Cure.** {_linked(about.cure)}"
        yield f"Written by {_jobs(about.jobs)}."


def _metrics() -> Iterator[str]:
    yield "# Metrics"
    yield (
        "Every job serves them in Prometheus' format at `/metrics` on `metrics.port`; `serve` has those of all its "
        "workers, with a label `worker`. Of a histogram `_bucket`, `_count` and `_sum` are served. The label "
        "`ring_job` is the command."
    )
    for family in _ours():
        labels = ", ".join(f"`{each}`" for each in labels_of(family))
        facts = [family.type, *_buckets(family), f"labels {labels}" if labels else "no labels"]
        yield from _entry(2, metric_name(family), family.documentation + ".", *facts)
    yield "## The process"
    yield "What Prometheus' own client says of the process:"
    yield _list_of(
        (f"`{metric_name(each)}`", each.documentation) for each in families() if each.name.startswith(_OF_PROCESS)
    )


def _ours() -> list[Metric]:
    return [each for each in families() if not each.name.startswith(_OF_PROCESS)]


def _buckets(family: Metric) -> Iterator[str]:
    bounds = [sample.labels["le"].removesuffix(".0") for sample in family.samples if "le" in sample.labels]
    if bounds:
        yield f"buckets up to {', '.join(dict.fromkeys(bounds[:-1]))}"


def _alerts() -> Iterator[str]:
    yield "# Alerts"
    yield (
        "The rules that the Helm chart brings (`monitoring.prometheusRule`), and that are in the file `alerts.yaml` "
        "for Prometheus without operators. Their thresholds are where to begin. For each: when it fires, and what "
        "to do."
    )
    [group] = yaml.safe_load((CHART / "monitoring" / "alerts.yaml").read_text())["groups"]
    for rule in group["rules"]:
        yield from _entry(2, rule["alert"], f"**Do.** {rule['annotations']['action']}")
        lasting = f" for {rule['for']}" if "for" in rule else ""
        yield f"{rule['labels']['severity'].capitalize()}, where this holds{lasting}:"
        yield f"```text\n{rule['expr'].strip()}\n```"


def _topics() -> Iterator[str]:
    yield "# Topics and messages"
    yield (
        "Names, counts and retention are settings; these are the defaults. Values are UTF-8 JSON, times are "
        "milliseconds since 1970, UTC. For programs: [AsyncAPI 3](../schemas/asyncapi.json), and a JSON Schema for "
        "each message below. [What is refused beyond them](../schemas/README.md)."
    )
    settings = Settings()
    specs = {each.name: each for each in topic_specs(settings)}
    for name, topic in settings.topics.each():
        yield from _entry(2, name, topic.about)
        yield _list_of(_topic(name, topic, specs[name].config))
    yield "## Messages"
    for file, text in documents().items():
        if file != "asyncapi.json":
            yield from _message(file.removesuffix(".json"), json.loads(text))
    yield from _entry(3, "offer-tombstone", "A record on `offers` with a key and no value: it withdraws the offer.")
    yield from _entry(
        3, "dead-letter", "The source's key and value, untouched unless very large. The headers say the rest:"
    )
    yield _list_of(_letter_headers())


def _topic(name: str, topic: Topic, config: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    carried = [topic.message, *([topic.beside[0]] if topic.beside else [])]
    yield "value", ", ".join(f"[{each}](#{each})" for each in carried)
    yield "key", topic.key
    yield "written by", _jobs(topic.sent_by + (topic.beside[1] if topic.beside else ())) or "you"
    yield "read by", _jobs(topic.received_by) or "you"
    field = next(each for each in type(Settings().topics).model_fields if getattr(Settings().topics, each) == name)
    kept = (
        f"{int(config['retention.ms']) / _MS_A_DAY:g} days (`topics.{topic.retention}`)"
        if topic.retention
        else "compacted"
    )
    yield "kept", kept
    yield "name", f"`topics.{field}`"


def _jobs(names: Iterable[str]) -> str:
    return ", ".join(f"[{each}](commands.md#{each})" for each in dict.fromkeys(names))


def _linked(text: str) -> str:
    """Set the names of settings as code, which the site links, and link the documents that a text names."""
    with_code = _SETTING.sub(r"`\g<0>`", text.strip())
    return re.sub(r"(?<![\w/])docs/[\w-]+\.md", r"[\g<0>](../\g<0>)", with_code)


def _message(name: str, schema: Schema) -> Iterator[str]:
    yield from _entry(3, name, schema["description"])
    yield f"[JSON Schema](../schemas/{name}.json)"
    yield _list_of(_fields(schema))
    for inner, of in schema.get("$defs", {}).items():
        yield f"A **{inner}**: {of.get('description', '')}"
        yield _list_of(_fields(of))


def _fields(schema: Schema) -> Iterator[tuple[str, str]]:
    for name, field in schema.get("properties", {}).items():
        optional = "" if name in schema.get("required", ()) else ", may be absent"
        yield f"`{name}`", f"{_kind(field)}{optional}"


def _kind(field: Schema) -> str:
    """Put a JSON Schema into a few words."""
    if "$ref" in field:
        return str(field["$ref"]).rsplit("/", 1)[-1]
    if "anyOf" in field:
        return " or ".join(dict.fromkeys(_kind(each) for each in field["anyOf"]))
    if "enum" in field or "const" in field:
        return " or ".join(f"`{each}`" for each in field.get("enum", [field.get("const")]))
    if field.get("type") == "array":
        return f"list of {_kind(field['items'])}" + _up_to(field.get("maxItems"))
    if field.get("type") == "object":
        values = field.get("additionalProperties")
        return f"table of {_kind(values)}" if isinstance(values, dict) else "table"
    return {"integer": "whole number", "string": "text", "boolean": "true or false"}.get(
        field.get("type", "any"), str(field.get("type", "any"))
    ) + _bounds(field)


def _bounds(field: Schema) -> str:
    if field.get("type") == "string":
        return f" of {field['maxLength']:,} characters at most" if "maxLength" in field else ""
    said = [f"{sign} {field[key]:,}" for key, sign in _SIGNS.items() if key in field]
    return f" {' and '.join(said)}" if said else ""


def _up_to(count: int | None) -> str:
    return "" if count is None else f", {count:,} at most"


def _letter_headers() -> Iterator[tuple[str, str]]:
    letter = json.loads(documents()["asyncapi.json"])["components"]["messages"]["dead-letter"]
    for name, header in letter["headers"]["properties"].items():
        yield f"`{name}`", header["description"]


def _list_of(pairs: Iterable[tuple[str, str]]) -> str:
    return "\n".join(f"- {name}: {meaning}" for name, meaning in pairs)


def _decisions() -> Iterator[str]:
    yield "# Decisions"
    yield "Each says what was decided, what was rejected, and how we would notice that it was wrong."
    records = sorted((ROOT / "docs" / "adr").glob("*.md"))
    yield "\n".join(
        f"- [{each.read_text().splitlines()[0].removeprefix('# ')}](../docs/adr/{each.name})" for each in records
    )
