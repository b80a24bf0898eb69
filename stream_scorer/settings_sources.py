"""Where settings come from: flags, then the environment, then a TOML file, then the defaults.

Unknown names are refused.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from tomllib import TOMLDecodeError
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import EnvSettingsSource, SettingsError, TomlConfigSettingsSource

from stream_scorer.errors import UsageError
from stream_scorer.settings import Settings
from stream_scorer.settings_shown import is_secret, setting_names

_PREFIX = "stream_scorer_"
_CONFIG_VARIABLE = f"{_PREFIX}config"
# tables whose keys are not ours: librdkafka's, those of the registry's client, and topics
_OPEN = (("kafka", "client"), ("kafka", "secrets"), ("wire", "event_types"), ("wire", "registry"))

# Kubernetes puts these into every pod beside a Service whose name begins with ours, and Docker's links the latter
_OF_A_SERVICE = re.compile(rf"{_PREFIX}(\w+_)?service_(host=[\da-f.:]+|host=none|port(_\w+)?=\d+)", re.ASCII)
_OF_A_LINK = re.compile(
    rf"{_PREFIX}(\w+_)?port(=(tcp|udp|sctp)://.*|_\d+_(tcp|udp|sctp)(=.*://.*|_(proto|port|addr)=.*))", re.ASCII
)

Tree = dict[str, Any]
Names = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings, and what gave each, by dotted name: `flag`, a variable, a file, or `default`.

    `passed_over` are variables that begin like ours and are set by Kubernetes or Docker.
    """

    settings: Settings
    origins: Mapping[str, str]
    passed_over: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class _Variables:
    """The settings in the environment, and the names of the variables, in upper case."""

    tree: Tree
    names: Sequence[str] = ()
    passed_over: Sequence[str] = ()


def load_settings(flags: Mapping[str, object], *, file: Path | None = None) -> Loaded:
    """Merge the sources: a flag overrides a variable, a variable overrides the file.

    Raises UsageError that names the setting, its source, and the bound or the nearest name.
    """
    variables = _read_environment()
    merged: Tree = {}
    origins: dict[str, str] = {}
    for origin, tree in ((str(file), _read_file(file)), ("environment", variables.tree), ("flag", _tree_of(flags))):
        for path, value in _leaves(tree):
            _refuse_unknown(path, value, origin)
            _put(merged, path, value)
            origins[".".join(path)] = _variable_of(path, variables.names) if origin == "environment" else origin
    try:
        settings = Settings(**merged)
    except ValidationError as error:
        raise UsageError(_sentence(error.errors(include_url=False)[0], origins)) from None
    return Loaded(settings, {name: _origin_of(name, origins) for name in setting_names()}, variables.passed_over)


def asks_for_json() -> bool:
    """Return whether a variable asks for logs in JSON, also where other settings are wrong."""
    return EnvSettingsSource(Settings).env_vars.get(f"{_PREFIX}log__format") == "json"


def as_variables(values: Mapping[str, object]) -> dict[str, str]:
    """Return the variables that give these settings, which are by dotted name."""
    return {
        _variable(name.split(".")): value if isinstance(value, str) else json.dumps(value)
        for name, value in values.items()
    }


def _origin_of(name: str, origins: Mapping[str, str]) -> str:
    """Return what gave a setting; of a table all that gave it keys, the last of which overrides the others."""
    given = [origin for key, origin in origins.items() if key == name or key.startswith(f"{name}.")]
    return ", ".join(dict.fromkeys(given)) or "default"


def _read_file(file: Path | None) -> Tree:
    if file is None:
        return {}
    if not file.is_file():
        raise UsageError(f"no settings file at {file}")
    try:
        return TomlConfigSettingsSource(Settings, file)()
    except (TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} is not TOML: {error}") from None
    except RecursionError:
        raise UsageError(f"{file} nests too deep") from None


def _read_environment() -> _Variables:
    try:
        source = EnvSettingsSource(Settings)
        ours = {
            name.lower(): value or ""
            for name, value in source.env_vars.items()
            if name.lower().startswith(_PREFIX) and name.lower() != _CONFIG_VARIABLE
        }
        foreign = [name for name, value in ours.items() if _is_foreign(name, value)]
        _refuse_unknown_variables(ours.keys() - foreign)
        return _Variables(source(), [name.upper() for name in ours], sorted(name.upper() for name in foreign))
    except SettingsError as error:
        raise UsageError(f"environment: {error}; a table is given as JSON") from None
    except RecursionError:
        raise UsageError("environment: a table nests too deep") from None


def _is_foreign(name: str, value: str) -> bool:
    pair = f"{name}={value.lower()}"
    return bool(_OF_A_SERVICE.fullmatch(pair) or _OF_A_LINK.fullmatch(pair))


def _refuse_unknown_variables(variables: Iterable[str]) -> None:
    known = {_variable(name.split(".")).lower() for name in setting_names()}
    sections = {f"{_PREFIX}{section}" for section in Settings.model_fields}
    open_tables = tuple(_variable(path).lower() + "__" for path in _OPEN)
    for variable in sorted(variables):
        if variable not in known | sections and not variable.startswith(open_tables):
            every = [name.removeprefix(_PREFIX) for name in (*known, _CONFIG_VARIABLE)]
            meant = _meant(variable.removeprefix(_PREFIX), every, as_written=lambda near: f"{_PREFIX}{near}".upper())
            raise UsageError(f"no such setting: {variable.upper()}{meant}")


def _variable(path: Sequence[str]) -> str:
    return (_PREFIX + "__".join(path)).upper()


def _variable_of(path: Names, names: Sequence[str]) -> str:
    """Return the variable that gave a setting: its own, or that of its section, which is given as JSON."""
    around = [_variable(path[:length]) for length in range(len(path), 0, -1)]
    return next((name for name in around if name in names), around[0])


def _tree_of(flags: Mapping[str, object]) -> Tree:
    tree: Tree = {}
    for name, value in flags.items():
        _put(tree, name.split("."), value)
    return tree


def _put(tree: Tree, path: Sequence[str], value: object) -> None:
    for part in path[:-1]:
        tree = tree.setdefault(part, {})
    tree[path[-1]] = value


def _leaves(tree: Tree, path: Names = ()) -> Iterator[tuple[Names, object]]:
    """Yield each setting's path and value.

    A key of librdkafka is a single name, whether it is quoted in TOML or not: security.protocol.
    """
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, (*path, name))
        elif path[:2] in _OPEN:
            yield (*path[:2], ".".join((*path[2:], name))), value
        else:
            yield (*path, name), value


def _refuse_unknown(path: Names, value: object, origin: str) -> None:
    name, names = ".".join(path), setting_names()
    is_table = any(each.startswith(f"{name}.") for each in names)
    if is_table and value != {}:
        raise UsageError(f"{name} must be a table (from {origin})")
    if not is_table and name not in names and path[:2] not in _OPEN:
        raise UsageError(f"no such setting: {name} (from {origin}){_meant(name, names)}")


def _meant(name: str, names: Iterable[str], *, as_written: Callable[[str], str] = str) -> str:
    """Return the question after the name that was likely meant; where none is like it, where to find all names."""
    near = get_close_matches(name, names, n=1)
    return f": did you mean {as_written(near[0])}?" if near else ": `stream-scorer settings` lists them all"


def _sentence(error: ErrorDetails, origins: Mapping[str, str]) -> str:
    path = tuple(map(str, error["loc"]))
    name = ".".join(path[:3] if path[:2] in _OPEN else path)
    reason = error["msg"].removeprefix("Value error, ")
    value = "" if _may_be_secret(path) else f", got {error['input']!r:.200}"
    return f"{name}: {reason}{value} (from {origins.get(name, 'the settings')})"


def _may_be_secret(path: Names) -> bool:
    return path in {("redis", "url"), ("redis", "signing_key"), ("kafka", "client")} or any(map(is_secret, path))
