"""The page of topics and messages."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from stream_scorer.schemas import documents
from stream_scorer.settings import Settings
from stream_scorer.topic_plan import topic_specs
from stream_scorer.topic_settings import Topic
from tests.docs_site.blocks import entry, jobs, listed

Schema = Mapping[str, Any]
_FEATURE = json.loads(documents()["offer.json"])["properties"]["features"]["additionalProperties"]
_PLAIN = {"integer": "whole number", "string": "text", "boolean": "true or false"}
_SIGNS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤"}
_MS_A_DAY = 86_400_000


def topics_page() -> Iterator[str]:
    yield "# Topics and messages"
    yield (
        "Names, counts and retention are settings; these are the defaults. Values are UTF-8 JSON, times are "
        "milliseconds since 1970, UTC. For programs: [AsyncAPI 3](../schemas/asyncapi.json), a JSON Schema for each "
        "message below, and its [schemas for a registry](../docs/wire-formats.md). "
        "[What is refused beyond them](../schemas/README.md)."
    )
    settings = Settings()
    specs = {each.name: each for each in topic_specs(settings)}
    for name, topic in settings.topics.each():
        yield from entry(2, name, topic.about)
        yield listed(_topic(name, topic, specs[name].config))
    yield "## Messages"
    yield f"A feature's value is one of: {'; '.join(map(_kind, _FEATURE['anyOf']))}."
    for file, text in documents().items():
        if file.endswith(".json") and file != "asyncapi.json":
            yield from _message(file.removesuffix(".json"), json.loads(text))
    yield from entry(3, "offer-tombstone", "A record on `offers` with a key and no value: it withdraws the offer.")
    yield from entry(
        3, "dead-letter", "The source's key and value, untouched unless very large. The headers say the rest:"
    )
    yield listed(_letter_headers())


def _topic(name: str, topic: Topic, config: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    carried = [topic.message, *([topic.beside[0]] if topic.beside else [])]
    yield "value", ", ".join(f"[{each}](#{each})" for each in carried)
    yield "key", topic.key
    yield "written by", jobs(topic.sent_by + (topic.beside[1] if topic.beside else ())) or "you"
    yield "read by", jobs(topic.received_by) or "you"
    field = next(each for each in type(Settings().topics).model_fields if getattr(Settings().topics, each) == name)
    kept = (
        f"{int(config['retention.ms']) / _MS_A_DAY:g} days (`topics.{topic.retention}`)"
        if topic.retention
        else "compacted"
    )
    yield "kept", kept
    yield "name", f"`topics.{field}`"


def _message(name: str, schema: Schema) -> Iterator[str]:
    yield from entry(3, name, schema["description"])
    yield f"[JSON Schema](../schemas/{name}.json)"
    yield listed(_fields(schema))
    for inner, of in schema.get("$defs", {}).items():
        yield f"A **{inner}**: {of.get('description', '')}"
        yield listed(_fields(of))


def _fields(schema: Schema) -> Iterator[tuple[str, str]]:
    for name, field in schema.get("properties", {}).items():
        optional = "" if name in schema.get("required", ()) else ", may be absent"
        yield f"`{name}`", f"{field['description']} ({_kind(field)}{optional})"


def _kind(field: Schema) -> str:
    """Put a JSON Schema into a few words."""
    if "$ref" in field:
        return str(field["$ref"]).rsplit("/", 1)[-1]
    if "anyOf" in field:
        return " or ".join(dict.fromkeys(map(_kind, field["anyOf"])))
    if "enum" in field or "const" in field:
        return " or ".join(f"`{each}`" for each in field.get("enum", [field.get("const")]))
    if field.get("type") == "array":
        return f"list of {_kind(field['items'])}" + _up_to(field.get("maxItems"))
    if field.get("type") == "object":
        return _table(field.get("additionalProperties"))
    return _PLAIN.get(field.get("type", "any"), str(field.get("type", "any"))) + _bounds(field)


def _table(values: Any) -> str:
    if values == _FEATURE:
        return "feature values by name"
    return f"table of {_kind(values)}" if isinstance(values, dict) else "table"


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
