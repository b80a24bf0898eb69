"""Settings for people to read: values with secrets masked, and type, unit, default and meaning of each."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from stream_scorer.redis_url import MASK, masked_url
from stream_scorer.settings import Settings

# parts of librdkafka's keys; OAUTHBEARER's config holds a client's secret, and the command for kinit may hold a
# password
_SECRET_PARTS = (
    "password", "passphrase", "secret", "token", "credential", "jaas", "key.pem", "oauthbearer.config", "kinit.cmd",
)  # fmt: skip
_UNITS = {"_ms": "milliseconds", "_s": "seconds", "_bytes_max": "bytes"}
_BOUNDS: dict[type, tuple[str, str]] = {Ge: ("ge", ">="), Gt: ("gt", ">"), Le: ("le", "<="), Lt: ("lt", "<")}
_TYPES = {int: "whole number", float: "number", str: "text", bool: "true or false", SecretStr: "secret text"}


@dataclass(frozen=True, slots=True)
class Described:
    """A setting: `type` with its bounds, `unit` where it has one, `default` as JSON, and what it means."""

    name: str
    type: str
    unit: str | None
    default: str
    meaning: str


def is_secret(key: str) -> bool:
    """Return whether the value of a librdkafka key is a secret, by its name."""
    return any(part in key.lower() for part in _SECRET_PARTS)


def setting_names() -> list[str]:
    """Return the dotted name of every setting."""
    return [name for name, _ in _fields(Settings)]


def shown(settings: Settings) -> Iterator[tuple[str, object]]:
    """Yield (dotted name, value) of every setting, secrets masked."""
    for name in setting_names():
        value: Any = settings
        for part in name.split("."):
            value = getattr(value, part)
        yield name, _masked(value)


def described() -> list[Described]:
    """Return every setting with its type, unit, default and meaning."""
    return [
        Described(name, _type_of(field), _unit_of(name), _default_of(field), field.description or "")
        for name, field in _fields(Settings)
    ]


def describe(name: str) -> Described:
    """Return a setting by its dotted name."""
    return next(each for each in described() if each.name == name)


def _fields(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _fields(kind, f"{prefix}{name}.")
        else:
            yield prefix + name, field


def _masked(value: Any) -> object:
    if isinstance(value, SecretStr):
        secret = value.get_secret_value()
        return masked_url(secret) if "://" in secret else MASK
    if isinstance(value, Mapping):
        return {key: MASK if isinstance(item, SecretStr) or is_secret(key) else item for key, item in value.items()}
    return value


def _type_of(field: FieldInfo) -> str:
    bounds = [
        f"{sign} {getattr(each, attribute):,}"
        for each in field.metadata
        for kind, (attribute, sign) in _BOUNDS.items()
        if isinstance(each, kind)
    ]
    return " ".join([_name_of(field.annotation), " and ".join(bounds)]).strip()


def _name_of(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return " | ".join(map(str, get_args(kind)))
    if get_origin(kind) in {UnionType, Union}:
        return " or ".join("null" if each is type(None) else _name_of(each) for each in get_args(kind))
    if get_origin(kind) is dict:
        return "table"
    return "list" if get_origin(kind) is list else _TYPES[kind]


def _unit_of(name: str) -> str | None:
    return next((unit for ending, unit in _UNITS.items() if name.endswith(ending)), None)


def _default_of(field: FieldInfo) -> str:
    return json.dumps(_masked(field.get_default(call_default_factory=True)))
