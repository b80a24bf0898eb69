from collections.abc import Callable
from json import JSONDecodeError
from typing import Any

import pytest
from confluent_kafka.schema_registry import SchemaRegistryError

from stream_scorer.adapters.schema_registry.schemas import SchemaRegistry
from stream_scorer.errors import NotReady, UsageError

SEVEN, GUID = b"\0\0\0\0\7", b"\1" + b"g" * 16


def failing(status: int, code: int) -> Callable[..., Any]:
    def ask(*_: object, **__: object) -> Any:
        raise SchemaRegistryError(status, code, "no")

    return ask


def saying(answer: Callable[..., Any], *, subjects: Callable[[], Any] = list) -> SchemaRegistry:
    """Return a registry that answers so whatever schema it is asked for."""
    registry = SchemaRegistry("mock://", {}, wait_s=0.05, register=False)
    client: Any = registry.client
    client.get_schema = client.get_schema_by_guid = answer
    client.get_subjects = subjects
    return registry


@pytest.mark.parametrize("schema_id", [SEVEN, GUID])
def test_a_registry_may_not_know_ids(schema_id: bytes) -> None:
    assert saying(failing(404, 40403), subjects=failing(500, 500)).schema(schema_id) is None
    assert saying(failing(404, 404)).schema(schema_id) is None


@pytest.mark.parametrize(
    ("status", "error", "says"),
    [
        (404, UsageError, "must be the place of Confluent's API"),
        (401, UsageError, "refuses us"),
        (403, UsageError, "refuses us"),
        (429, NotReady, "failed for 0.05 s"),
        (503, NotReady, "failed for 0.05 s"),
        (422, NotReady, "cannot say what a schema is"),
    ],
)
def test_other_troubles_make_no_id_unknown(status: int, error: type[Exception], says: str) -> None:
    registry = saying(failing(status, status), subjects=failing(404, 404))
    with pytest.raises(error, match=says):
        registry.schema(SEVEN)


def test_a_page_is_no_registry() -> None:
    def page(*_: object, **__: object) -> Any:
        raise JSONDecodeError("Expecting value", "<html>", 0)

    with pytest.raises(UsageError, match="must be the place of Confluent's API"):
        saying(page).schema(SEVEN)


def test_unknown_ids_are_asked_for_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def ask(number: int, **_: object) -> Any:
        asked.append(number)
        raise SchemaRegistryError(404, 40403, "no")

    now_s = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now_s)
    registry = saying(ask)
    assert [registry.schema(SEVEN) for _ in range(3)] == [None] * 3
    now_s += 1.1
    assert registry.schema(SEVEN) is None
    assert asked == [7, 7]
