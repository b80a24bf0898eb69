"""What an Avro schema of another program may cost: its data must not cost more than their bytes.

A reader of Avro does what the schema says. A type that holds itself lets few bytes nest deep enough to end the process
(fastavro, like any recursive reader), and a list whose elements take no bytes may have 2**62 of them.
"""

from collections.abc import Mapping
from typing import Any

NODES_MAX = 10_000
_CONTAINERS = {"record", "error"}


def costly(schema: Any) -> str | None:
    """Return why a schema, as parsed JSON, is refused before any data of it is read; None: it is not."""
    try:
        _Walk().width(schema, ())
    except _TooCostly as error:
        return str(error)
    return None


class _TooCostly(Exception):
    """Carries the reason out of the walk."""


class _Walk:
    """Goes through a schema as a reader of its data would, into named types each time that they are named."""

    def __init__(self) -> None:
        self._named: dict[str, Any] = {}
        self._nodes = 0

    def width(self, schema: Any, within: tuple[str, ...]) -> int:
        """Return the least bytes that data of it take, 0 or 1. Raises _TooCostly."""
        self._nodes += 1
        if self._nodes > NODES_MAX:
            raise _TooCostly(f"the schema has more than {NODES_MAX} fields")
        if isinstance(schema, list):
            for branch in schema:
                self.width(branch, within)
            return 1  # which branch it is
        if isinstance(schema, str):
            return self._of_name(schema, within)
        if not isinstance(schema, Mapping):
            raise _TooCostly("the schema is not one of Avro")
        return self._of_object(schema, within)

    def _of_name(self, name: str, within: tuple[str, ...]) -> int:
        # whatever its namespace: two types that differ in it alone are refused where they stand
        name = name.rpartition(".")[2]
        if name in within:
            raise _TooCostly("a type of the schema holds itself")
        if name in self._named:
            return self.width(self._named[name], within)
        return 0 if name == "null" else 1

    def _of_object(self, schema: Mapping[str, Any], within: tuple[str, ...]) -> int:
        kind = schema.get("type")
        if kind in _CONTAINERS:
            name = str(schema.get("name", "")).rpartition(".")[2]
            if name in within:
                raise _TooCostly("a type of the schema holds itself")
            if self._named.setdefault(name, schema) is not schema:
                raise _TooCostly("two types of the schema have one name")
            inner = [self.width(field.get("type"), (*within, name)) for field in schema.get("fields", ())]
            return max(inner, default=0)
        if kind == "array":
            if self.width(schema.get("items"), within) == 0:
                raise _TooCostly("the elements of a list in the schema take no bytes")
            return 1
        if kind == "map":
            self.width(schema.get("values"), within)
            return 1
        if kind == "fixed":
            return int(schema.get("size") != 0)
        return 1 if kind == "enum" else self.width(kind, within)
