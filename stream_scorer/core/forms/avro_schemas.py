"""Avro schemas of our messages, made from their classes: a record each, in the namespace stream_scorer.

Avro 1.12: a union holds one array at most, so that lists among the values of features are the records `Texts` and
`Numbers`, and a request's offers are an array of both ids and objects. Numbers of features are doubles, as they are in
JSON. Bounds, which Avro cannot say, stay the decoder's.
"""

from collections.abc import Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic.fields import FieldInfo

from stream_scorer.core.forms.feature_values import NUMBERS, TEXTS

NAMESPACE = "stream_scorer"
_PLAIN = {str: "string", float: "double", int: "long", bool: "boolean"}
_RECORDS = {TEXTS: ("Texts", "string"), NUMBERS: ("Numbers", "double")}


def avro_schema(message: type[Any]) -> dict[str, Any]:
    """Return the schema of a message, of which each named type is defined where it stands first."""
    return {**_record(message, set()), "namespace": NAMESPACE}


def record_name(part: str) -> str:
    """Return the full name of the record that holds a list, by the name of its field."""
    return f"{NAMESPACE}.{_RECORDS[part][0]}"


def _record(message: type[Any], known: set[str]) -> dict[str, Any]:
    hints = get_type_hints(message, include_extras=True)
    known.add(message.__name__)
    doc = (message.__doc__ or "").partition("\n")[0]
    return {
        "type": "record",
        "name": message.__name__,
        "doc": doc,
        "fields": [_field(each, hints[each.name], known) for each in fields(message)],
    }


def _field(field: "Field[Any]", hint: Any, known: set[str]) -> dict[str, Any]:
    stated = {"name": field.name, "type": _type(hint, known)}
    default = field.default.default_factory() if isinstance(field.default, FieldInfo) else field.default  # type: ignore[misc, call-arg]
    return stated if default is MISSING else {**stated, "default": default}


def _type(hint: Any, known: set[str]) -> Any:
    hint = bare(hint)
    if hint in _PLAIN:
        return _PLAIN[hint]
    if is_dataclass(hint) and isinstance(hint, type):
        return hint.__name__ if hint.__name__ in known else _record(hint, known)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return _PLAIN[type(arguments[0])]
    if origin is list:
        return {"type": "array", "items": _type(arguments[0], known)}
    if origin is dict:
        return {"type": "map", "values": _type(arguments[1], known)}
    return [*_branches(arguments, known)]


def _branches(arguments: tuple[Any, ...], known: set[str]) -> Iterator[Any]:
    """Yield the branches of a union, null first, as a default of null needs; a list among values is a record."""
    branches = sorted(map(bare, arguments), key=lambda each: each is not NoneType)
    lists = [get_args(each)[0] for each in branches if get_origin(each) is list]
    is_value = len(lists) > 1
    if is_value and any(is_dataclass(bare(each)) for each in lists):
        # a request's offers, ids or objects: one array of both, as the decoder refuses a list that mixes them
        yield {"type": "array", "items": [_type(each, known) for each in lists]}
        return
    for each in branches:
        if each is NoneType:
            yield "null"
        elif is_value and get_origin(each) is list:
            yield _list_record(TEXTS if bare(get_args(each)[0]) is str else NUMBERS, known)
        else:
            yield from branch if isinstance(branch := _type(each, known), list) else [branch]


def _list_record(part: str, known: set[str]) -> Any:
    name, items = _RECORDS[part]
    if name in known:
        return name
    known.add(name)
    return {
        "type": "record",
        "name": name,
        "fields": [{"name": part, "type": {"type": "array", "items": items}}],
    }


def bare(hint: Any) -> Any:
    """Return a hint without its bounds, and a new type as the type that it is of."""
    while get_origin(hint) is Annotated or hasattr(hint, "__supertype__"):
        hint = get_args(hint)[0] if get_origin(hint) is Annotated else hint.__supertype__
    return hint if get_origin(hint) not in {Union, UnionType} or len(get_args(hint)) > 1 else get_args(hint)[0]
