"""Generates the contract for other programs: a JSON Schema for each message, and an AsyncAPI 3 document of the topics.

`python -m stream_scorer.schemas FOLDER` writes them; a test checks that `schemas/` is what this module generates.
"""

import ast
import inspect
import json
import sys
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter

from stream_scorer import __version__
from stream_scorer.core import messages
from stream_scorer.core.forms.avro_schemas import avro_schema
from stream_scorer.core.forms.protobuf_schemas import proto_text
from stream_scorer.core.messages import RECORD_BYTES_MAX
from stream_scorer.ports import TopicSpec
from stream_scorer.settings import Settings
from stream_scorer.topic_plan import topic_specs
from stream_scorer.topic_settings import Topic

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_PRINTABLE = r"^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]+$"
MESSAGES: dict[str, type[Any]] = {
    "customer-request": messages.CustomerRequest,
    "acceptance": messages.Acceptance,
    "erasure": messages.Erasure,
    "offer": messages.Offer,
    "ranking": messages.Ranking,
    "labelled-ranking": messages.LabelledRanking,
    "labelled-example": messages.LabelledExample,
}
_NEVER_FORMED = ("erasure", "labelled-example")  # on a topic that stays plain JSON, and in files
_HEADERS = {
    "error.code": "what kind of fault, for programs",
    "error.message": "what was wrong and where, for people; no personal data",
    "source.topic": "where the record was",
    "source.partition": "its partition, a decimal number",
    "source.offset": "its offset, a decimal number",
    "source.timestamp": "its timestamp, milliseconds since the epoch, a decimal number",
}
_HEADERS_IF_TRUNCATED = {
    "value.truncated": "true: the value was too large for a dead letter, and only its head is here",
    "value.length": "how many bytes the whole value had, a decimal number",
    "value.sha256": "the SHA-256 of the whole value, in hexadecimal",
    "key.truncated": "the same of the key",
    "key.length": "the same of the key",
    "key.sha256": "the same of the key",
}
_HEADERS_IF_SO = {
    "source.headers.dropped": "how many of the record's own headers a letter had no room for, a decimal number",
    "resend.attempt": "how often the record has been sent, from 2 on, a decimal number",
    "resend.from": "the dead letter that the record was sent again from: topic[partition]@offset",
}


def documents() -> dict[str, str]:
    """Return the text of each generated file by the file's name."""
    texts = {f"{name}.json": _json_schema(name, each) for name, each in MESSAGES.items()}
    formed = {name: each for name, each in MESSAGES.items() if name not in _NEVER_FORMED}
    texts |= {f"{name}.avsc": avro_schema(each) for name, each in formed.items()}
    texts["asyncapi.json"] = _asyncapi(Settings())
    written = {name: json.dumps(each, indent=2, ensure_ascii=False) + "\n" for name, each in texts.items()}
    return {**written, **{f"{name}.proto": proto_text(each) for name, each in formed.items()}}


def _json_schema(name: str, message: type[Any]) -> dict[str, Any]:
    schema = TypeAdapter(message).json_schema()
    add_meanings({message.__name__: schema, **schema.get("$defs", {})})
    about = (
        f"A record's value has {RECORD_BYTES_MAX:,} bytes at most. Unknown fields are ignored."
        if name != "labelled-example"
        else ""
    )
    if about:
        schema["description"] = f"{schema['description']}\n\n{about}"
    whole: dict[str, Any] = portable({"$schema": _DIALECT, "$id": f"urn:stream-scorer:{name}", **schema})
    return whole


def add_meanings(schemas: dict[str, Any]) -> None:
    """Add to schemas, which are by the names of their classes, a description of every field."""
    for name, schema in schemas.items():
        for field, meaning in _meanings()[name].items():
            schema["properties"][field] = {"description": meaning, **schema["properties"][field]}


@cache
def _meanings() -> dict[str, dict[str, str]]:
    """Read what stands below each field of the messages, by class and field."""
    tree = ast.parse(inspect.getsource(messages))
    return {each.name: dict(_meanings_in(each)) for each in tree.body if isinstance(each, ast.ClassDef)}


def _meanings_in(message: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for field, below in pairwise(message.body):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(meaning))):
                yield name, meaning


def portable(node: Any) -> Any:
    """Replace the pattern of ids by one that every regular expression engine knows: many lack Unicode categories."""
    if isinstance(node, dict):
        return {key: _PRINTABLE if key == "pattern" else portable(each) for key, each in node.items()}
    return [portable(each) for each in node] if isinstance(node, list) else node


def _asyncapi(settings: Settings) -> dict[str, Any]:
    specs = {spec.name: spec for spec in topic_specs(settings)}
    topics = dict(settings.topics.each())
    return {
        "asyncapi": "3.1.0",
        "info": {
            "title": "stream-scorer",
            "version": __version__,
            "description": "Events in, rankings and labels out. "
            "Names, partitions and retention are settings; these are the defaults.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {name: _channel(name, each, specs[name]) for name, each in topics.items()},
        "operations": {
            name: each for topic, about in topics.items() for name, each in _operations(topic, about).items()
        },
        "components": {"messages": {**{name: _message(name) for name in MESSAGES}, **_special_messages()}},
    }


def _channel(name: str, topic: Topic, spec: TopicSpec) -> dict[str, Any]:
    config: dict[str, Any] = {key: int(value) if value.isdigit() else value for key, value in spec.config.items()}
    config["cleanup.policy"] = [config["cleanup.policy"]]
    binding = {
        "topic": name,
        "partitions": spec.partitions,
        "replicas": spec.replication_factor,
        "topicConfiguration": config,
    }
    carried = [topic.message, *([topic.beside[0]] if topic.beside else [])]
    return {
        "address": name,
        "description": f"{topic.about} Key: {topic.key}.",
        "messages": {each: {"$ref": f"#/components/messages/{each}"} for each in carried},
        "bindings": {"kafka": {**binding, "bindingVersion": "0.5.0"}},
    }


def _operations(name: str, topic: Topic) -> dict[str, Any]:
    def operation(job: str, action: Literal["send", "receive"], message: str) -> dict[str, Any]:
        return {"action": action, "channel": {"$ref": f"#/channels/{name}"}, "summary": f"{job} {action}s {message}s."}

    senders = [(topic.message, topic.sent_by), *([topic.beside] if topic.beside else [])]
    sent = {f"{job}-sends-{name}": operation(job, "send", message) for message, jobs in senders for job in jobs}
    return sent | {f"{job}-receives-{name}": operation(job, "receive", topic.message) for job in topic.received_by}


def _message(name: str) -> dict[str, Any]:
    return {"name": name, "contentType": "application/json", "payload": {"$ref": f"./{name}.json"}, **_key("string")}


def _special_messages() -> dict[str, Any]:
    described = {**_HEADERS, **_HEADERS_IF_TRUNCATED, **_HEADERS_IF_SO}
    headers = {name: {"type": "string", "description": about} for name, about in described.items()}
    return {
        "offer-tombstone": {
            "name": "offer-tombstone",
            "summary": "Withdraws the offer its key names.",
            "payload": {"type": "null"},
            **_key("string"),
        },
        "dead-letter": {
            "name": "dead-letter",
            "summary": "The source's key and value, untouched unless very large, with the reason in headers; "
            "the record's own headers follow.",
            "contentType": "application/octet-stream",
            "headers": {"type": "object", "properties": headers, "required": list(_HEADERS)},
            "payload": {},
        },
    }


def _key(kind: str) -> dict[str, Any]:
    return {"bindings": {"kafka": {"key": {"type": kind}, "bindingVersion": "0.5.0"}}}


def write(folder: Path) -> None:
    """Write every document into an existing folder, and touch no other file there."""
    for name, text in documents().items():
        (folder / name).write_text(text)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
