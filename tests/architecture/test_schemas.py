"""The published schemas are those of the messages, and no example of any version ever stops decoding."""

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from stream_scorer import schemas
from stream_scorer.core.records import Record
from stream_scorer.core.wire.codec import decode_all, encode

FOLDER = Path(__file__).parents[2] / "schemas"
EXAMPLES = sorted((FOLDER / "examples").glob("*/*.json"))


@pytest.mark.parametrize("name", sorted(schemas.documents()))
def test_schemas_are_in_step_with_messages(name: str) -> None:
    assert (FOLDER / name).read_text() == schemas.documents()[name], "run `make schemas`"


def test_no_schema_outlives_its_message() -> None:
    written = {each.name for each in FOLDER.iterdir() if each.suffix in {".json", ".avsc", ".proto"}}
    assert written == set(schemas.documents())


@pytest.mark.parametrize("name", sorted(schemas.MESSAGES))
def test_every_field_says_what_it_means(name: str) -> None:
    schema = json.loads((FOLDER / f"{name}.json").read_text())
    for each in (schema, *schema.get("$defs", {}).values()):
        assert all(field["description"].endswith(".") for field in each["properties"].values())


def test_every_message_has_examples() -> None:
    assert {each.parent.name for each in EXAMPLES} == set(schemas.MESSAGES)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_an_example_decodes(example: Path) -> None:
    record = Record("topic", 0, 0, None, example.read_bytes(), 0)
    decoded = decode_all([record], schemas.MESSAGES[example.parent.name])
    assert decoded.dead_letters == []


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_examples_and_their_encodings_fit_schemas(example: Path) -> None:
    schema = json.loads((FOLDER / f"{example.parent.name}.json").read_text())
    record = Record("topic", 0, 0, None, example.read_bytes(), 0)
    (message,) = decode_all([record], schemas.MESSAGES[example.parent.name]).messages
    for text in (example.read_bytes(), encode(message)):
        Draft202012Validator(schema).validate(json.loads(text))


def test_every_operation_names_a_channel() -> None:
    document = json.loads((FOLDER / "asyncapi.json").read_text())
    named = {each["channel"]["$ref"].removeprefix("#/channels/") for each in document["operations"].values()}
    assert named == set(document["channels"])
