"""The door's description is of the messages that topics carry."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from stream_scorer.adapters.local.clock import HandClock
from stream_scorer.adapters.memory.exchange import MemoryExchange
from stream_scorer.client import AsyncClient
from stream_scorer.client.session import Session
from stream_scorer.http_door.app import door_app
from stream_scorer.topic_settings import TopicSettings

EXAMPLES = Path(__file__).parents[3] / "schemas" / "examples"
COMPONENTS = {"customer-request": "CustomerRequest", "acceptance": "Acceptance", "ranking": "Ranking"}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    from starlette.testclient import TestClient

    client = AsyncClient(Session(MemoryExchange(), TopicSettings(), expected_max=1), timeout_s=1)
    answer = TestClient(door_app(client, clock=HandClock(0), timeout_s=1)).get("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    described: dict[str, Any] = answer.json()
    return described


def test_paths_and_answers_are_described(document: dict[str, Any]) -> None:
    assert {path: [*each["post"]["responses"]] for path, each in document["paths"].items()} == {
        "/rank": ["200", "400", "408", "413", "415", "422", "503", "409", "504"],
        "/accept": ["202", "400", "408", "413", "415", "422", "503"],
    }


def test_every_field_says_what_it_means(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    silent = {
        f"{name}.{field}"
        for name, schema in schemas.items()
        for field, each in schema["properties"].items()
        if "description" not in each
    }
    assert silent == {"Problem.title", "Problem.status"}


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    named = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document)))
    assert named == set(document["components"]["schemas"])


@pytest.mark.parametrize("folder", COMPONENTS)
def test_published_examples_fit_the_description(folder: str, document: dict[str, Any]) -> None:
    schema = {"$ref": f"#/components/schemas/{COMPONENTS[folder]}", "components": document["components"]}
    for example in sorted((EXAMPLES / folder).glob("*.json")):
        Draft202012Validator(schema).validate(json.loads(example.read_text()))


def test_ids_and_times_may_be_left_out(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert schemas["CustomerRequest"]["required"] == ["customer_id", "features"]
    assert schemas["Acceptance"]["required"] == ["request_id", "customer_id", "offer_id", "accepted"]
