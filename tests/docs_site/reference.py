"""The reference of the documentation site, made from what the product itself uses.

An entry is a heading of its own, so that it has an address: `settings.md#join.window_ms`. Links are written as if the
folders `reference` and `explanation` were at the repository's root; `tests.docs_site.site` puts them right.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
import yaml
from prometheus_client.metrics_core import Metric

from stream_scorer.cli import COMMANDS, _typer_of
from stream_scorer.core.wire.letter_codes import CODES
from stream_scorer.settings import Settings
from stream_scorer.settings_shown import Described, described
from tests.chart_files import CHART
from tests.docs_site.blocks import entry, jobs, linked, listed, text_of
from tests.docs_site.topics import topics_page
from tests.served_metrics import families, labels_of

ROOT = Path(__file__).parents[2]
_OF_PROCESS = "process_"
_SUMMED_UP = {"counter": "_total", "info": "_info"}


def pages() -> dict[str, str]:
    """Return the text of each page by its place on the site."""
    return {
        "reference/settings.md": text_of(_settings()),
        "reference/commands.md": text_of(_commands()),
        "reference/topics.md": text_of(topics_page()),
        "reference/dead-letter-codes.md": text_of(_codes()),
        "reference/metrics.md": text_of(_metrics()),
        "reference/alerts.md": text_of(_alerts()),
        "explanation/decisions.md": text_of(_decisions()),
    }


def places() -> dict[str, str]:
    """Return where a name that stands alone as code is explained, as PAGE#ANCHOR."""
    settings = {each.name: f"reference/settings.md#{each.name}" for each in described()}
    metrics = {name: f"reference/metrics.md#{name}" for name in map(metric_name, _ours())}
    codes = {code: f"reference/dead-letter-codes.md#{code}" for code in CODES}
    commands = {f"stream-scorer {name}": f"reference/commands.md#{name}" for name in COMMANDS}
    alerts = {rule["alert"]: f"reference/alerts.md#{rule['alert']}" for rule in _rules()}
    return settings | metrics | codes | commands | alerts


def metric_name(family: Metric) -> str:
    """Return a metric's name as Prometheus is asked for it; of a histogram what its parts begin with."""
    return family.name + _SUMMED_UP.get(family.type, "")


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
        yield from entry(3, setting.name, setting.meaning, *_facts(setting))


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
    yield linked(command.help)
    yield f"```text\n{command.get_usage(context).removeprefix('Usage: ')}\n```"
    # an option that is hidden has no record
    records = [record for each in command.params if (record := each.get_help_record(context))]
    yield listed((f"`{option}`", linked(_default_in_words(meaning))) for option, meaning in records)


def _default_in_words(meaning: str) -> str:
    return re.sub(r"  \[(.*)\]$", lambda match: f" ({match[1].replace('(', '').replace(')', '')})", meaning)


def _codes() -> Iterator[str]:
    yield "# Dead-letter codes"
    yield (
        "Each record that could not be processed has one of these codes in its header `error.code`, and the exact "
        "reason, with the field and the bound, in `error.message`. Nothing stops for it: the stream has gone on. "
        "See [what to do at night, and how to look at dead letters and send them again](../docs/dead-letters.md). "
        "Of the jobs that an entry names, those that read the record's topic write the code."
    )
    for code, about in CODES.items():
        yield from entry(2, code, f"**Cause.** {about.cause}")
        yield f"**Cure.** {linked(about.cure)}"
        yield f"Written by {jobs(about.jobs)}."


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
        yield from entry(2, metric_name(family), family.documentation + ".", *facts)
    yield "## The process"
    yield "What Prometheus' own client says of the process:"
    yield listed(
        (f"`{metric_name(each)}`", each.documentation) for each in families() if each.name.startswith(_OF_PROCESS)
    )


def _ours() -> list[Metric]:
    return [each for each in families() if not each.name.startswith(_OF_PROCESS)]


def _buckets(family: Metric) -> Iterator[str]:
    bounds = [sample.labels["le"].removesuffix(".0") for sample in family.samples if "le" in sample.labels]
    if bounds:
        yield f"buckets up to {', '.join(each for each in dict.fromkeys(bounds) if each != '+Inf')}"


def _alerts() -> Iterator[str]:
    yield "# Alerts"
    yield (
        "The rules that the Helm chart brings (`monitoring.prometheusRule`), and that are in the file `alerts.yaml` "
        "for Prometheus without operators. Their thresholds are where to begin. For each: when it fires, and what "
        "to do."
    )
    for rule in _rules():
        yield from entry(2, rule["alert"], f"{_without_template(rule['annotations']['summary'])}.")
        yield f"**Do.** {linked(rule['annotations']['action'])}"
        lasting = f" for {rule['for']}" if "for" in rule else ""
        yield f"{rule['labels']['severity'].capitalize()}, where this holds{lasting}:"
        lines = re.sub(r" (unless|and|or) (?!on\b)", r"\n\1 ", rule["expr"].strip())
        yield f"```text\n{lines}\n```"


def _rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((CHART / "monitoring" / "alerts.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def _without_template(summary: str) -> str:
    """Put the name of a label in place of its value, which Prometheus fills in: {{ $labels.topic }} is *topic*."""
    return re.sub(r"\{\{ *\$(?:labels\.)?(\w+)[^}]*\}\}", r"*\1*", summary)


def _decisions() -> Iterator[str]:
    yield "# Decisions"
    yield "Each says what was decided, what was rejected, and how we would notice that it was wrong."
    records = sorted((ROOT / "docs" / "adr").glob("*.md"))
    yield "\n".join(
        f"- [{each.read_text().splitlines()[0].removeprefix('# ')}](../docs/adr/{each.name})" for each in records
    )
