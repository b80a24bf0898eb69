"""Protobuf schemas of our messages, made from their classes: a file each, with one message that holds its parts.

The parts are inside it, so that programs may compile several of the files together. Numbers of fields are their places
in the classes and never change: fields are added at the end. Scalars are `optional`, so that 0 and nothing differ, and
so do an empty list of offers and none. The names of `Value` are those in core/forms/feature_values.py.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from stream_scorer.core.forms.avro_schemas import NAMESPACE, bare
from stream_scorer.core.messages import FeatureValue

Label = Literal["optional", "repeated", "map", ""]
_PLAIN = {str: "string", float: "double", int: "int64", bool: "bool"}


@dataclass(frozen=True, slots=True)
class ProtoField:
    """`kind` is a scalar of Protobuf or the name of a part; of a map it is that of the values."""

    name: str
    kind: str
    label: Label = ""


@dataclass(frozen=True, slots=True)
class ProtoMessage:
    """A message or a part of one; its fields are numbered from 1. With `choice`, one of them is set."""

    name: str
    fields: tuple[ProtoField, ...]
    choice: str = ""
    doc: str = ""


NULL = "Null"  # an enum of one name, so that null is set, and not merely nothing
CANDIDATES = "Candidates"  # a request's offers, of which [] is not nothing: ids, or objects that state features
VALUE = ProtoMessage(
    "Value",
    (
        ProtoField("number", "double"),
        ProtoField("text", "string"),
        ProtoField("flag", "bool"),
        ProtoField("texts", "Texts"),
        ProtoField("numbers", "Numbers"),
        ProtoField("null", NULL),
    ),
    choice="kind",
)
_VALUE_PARTS = (
    VALUE,
    ProtoMessage("Texts", (ProtoField("values", "string", "repeated"),)),
    ProtoMessage("Numbers", (ProtoField("values", "double", "repeated"),)),
)


def proto_parts(message: type[Any]) -> tuple[ProtoMessage, ...]:
    """Return the message, and behind it the parts that it needs, each once."""
    parts: dict[str, ProtoMessage] = {}
    _add(message, parts)
    if VALUE.name in _kinds(parts):
        parts |= {each.name: each for each in _VALUE_PARTS}
    used = _kinds(parts)
    return tuple(each for each in parts.values() if each.name == message.__name__ or each.name in used)


def _kinds(parts: Mapping[str, ProtoMessage]) -> set[str]:
    return {field.kind for part in parts.values() for field in part.fields}


def proto_text(message: type[Any]) -> str:
    """Return the schema as a file of the language that protoc reads."""
    root, *parts = proto_parts(message)
    lines = ['syntax = "proto3";', "", f"package {NAMESPACE};", "", f"// {root.doc}", f"message {root.name} {{"]
    lines += [f"  {line}" for line in _fields_text(root)]
    for part in parts:
        lines += ["", f"  message {part.name} {{", *(f"    {line}" for line in _fields_text(part)), "  }"]
    return "\n".join([*lines, "}", ""])


def nullable_names(message: type[Any]) -> frozenset[str]:
    """Return the fields, also of its offers, that JSON states as null where they have no value."""
    return frozenset(_nullable(message))


def _nullable(message: type[Any]) -> Iterator[str]:
    hints = get_type_hints(message, include_extras=True)
    for each in fields(message):
        kind = bare(hints[each.name])
        if NoneType in get_args(kind):
            yield each.name
        if get_origin(kind) is list and is_dataclass(inner := get_args(kind)[0]):
            yield from _nullable(inner)  # type: ignore[arg-type]


def _add(message: type[Any], parts: dict[str, ProtoMessage]) -> None:
    hints = get_type_hints(message, include_extras=True)
    doc = (message.__doc__ or "").partition("\n")[0]
    parts[message.__name__] = ProtoMessage(message.__name__, (), doc=doc)  # first, as its own place
    found = tuple(_field(each.name, bare(hints[each.name]), parts) for each in fields(message))
    parts[message.__name__] = ProtoMessage(message.__name__, found, doc=doc)


def _field(name: str, hint: Any, parts: dict[str, ProtoMessage]) -> ProtoField:
    if name == "value" or hint == bare(FeatureValue):
        return ProtoField(name, VALUE.name)
    choices = [each for each in map(bare, get_args(hint)) if each is not NoneType]
    if NoneType in get_args(hint):
        lists = [bare(get_args(each)[0]) for each in _each_of(choices) if get_origin(each) is list]
        return _candidates(name, lists, parts) if lists else _field(name, choices[0], parts)
    if get_origin(hint) is dict:
        return ProtoField(name, _PLAIN.get(choices[1], VALUE.name), "map")
    if get_origin(hint) is list:
        return ProtoField(name, _kind(choices[0], parts), "repeated")
    literal = get_origin(hint) is Literal
    return ProtoField(name, _kind(type(get_args(hint)[0]) if literal else hint, parts), "optional")


def _each_of(choices: list[Any]) -> Iterator[Any]:
    """Yield the choices, and of one that is a union its own."""
    for each in choices:
        yield from (each,) if get_origin(each) is list or not get_args(each) else map(bare, get_args(each))


def _candidates(name: str, kinds: list[Any], parts: dict[str, ProtoMessage]) -> ProtoField:
    held = tuple(ProtoField("ids" if kind is str else "offers", _kind(kind, parts), "repeated") for kind in kinds)
    parts[CANDIDATES] = ProtoMessage(CANDIDATES, held)
    return ProtoField(name, CANDIDATES)


def _kind(hint: Any, parts: dict[str, ProtoMessage]) -> str:
    if hint in _PLAIN:
        return _PLAIN[hint]
    _add(hint, parts)
    return str(hint.__name__)


def _fields_text(part: ProtoMessage) -> Iterator[str]:
    if part.choice:
        yield f"enum {NULL} {{"
        yield "  NULL = 0;"
        yield "}"
        yield f"oneof {part.choice} {{"
    inset = "  " if part.choice else ""
    for number, field in enumerate(part.fields, 1):
        kind = f"map<string, {field.kind}>" if field.label == "map" else field.kind
        label = f"{field.label} " if field.label in {"optional", "repeated"} else ""
        yield f"{inset}{label}{kind} {field.name} = {number};"
    if part.choice:
        yield "}"
