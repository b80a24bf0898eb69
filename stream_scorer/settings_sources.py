"""Where settings come from: flags, then the environment, then a TOML file, then the defaults; unknown names are refused."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from tomllib import TOMLDecodeError
from typing import Any

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_settings import EnvSettingsSource, SettingsError, TomlConfigSettingsSource

from stream_scorer.errors import UsageError
from stream_scorer.settings import Settings

_PREFIX = "stream_scorer_"
_CONFIG_VARIABLE = f"{_PREFIX}config"
_OPEN = ("kafka.client", "kafka.secrets")  # tables whose keys are librdkafka's

Tree = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings, and per dotted name what gave it: `flag`, a variable, a file, or `default`."""

    settings: Settings
    origins: Mapping[str, str]


def load_settings(flags: Mapping[str, object], *, file: Path | None = None) -> Loaded:
    """Merge the sources, nearest first. Raises UsageError that names the setting, its source, and the bound or nearest name."""
    sources = [
        ("default", {}),
        (str(file), _read_file(file)),
        ("environment", _read_environment()),
        ("flag", _tree_of(flags)),
    ]
    merged: Tree = {}
    origins = dict.fromkeys(setting_names(), "default")
    for origin, tree in sources:
        for path, value in _leaves(tree):
            _refuse_unknown(".".join(path), origin)
            _put(merged, path, value)
            origins[".".join(path)] = _variable(path) if origin == "environment" else origin
    try:
        return Loaded(Settings(**merged), origins)
    except ValidationError as error:
        raise UsageError(_sentence(error, origins)) from None


def setting_names(model: type[BaseModel] = Settings, prefix: str = "") -> list[str]:
    """Return the dotted name of every setting."""
    names = []
    for name, field in model.model_fields.items():
        kind = field.annotation
        nested = isinstance(kind, type) and issubclass(kind, BaseModel)
        names += setting_names(kind, f"{prefix}{name}.") if nested else [prefix + name]  # type: ignore[arg-type]
    return names


def shown(settings: Settings) -> Iterator[tuple[str, object]]:
    """Yield (dotted name, value) of every setting, secrets masked."""
    for name in setting_names():
        value: Any = settings
        for part in name.split("."):
            value = getattr(value, part)
        yield name, _masked(name, value)


def _masked(name: str, value: Any) -> object:
    if name == "redis.url":
        return _url_without_password(value.get_secret_value())
    if isinstance(value, dict):
        return {key: _MASK if isinstance(item, SecretStr) or _is_secret(key) else item for key, item in value.items()}
    return value


_MASK = "********"


def _is_secret(key: str) -> bool:
    return any(word in key for word in ("password", "secret", "token", "jaas", "key.pem"))


def _url_without_password(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    login, at, host = rest.rpartition("@")
    user, colon, _ = login.partition(":")
    return f"{scheme}{separator}{user}{colon}{_MASK if colon else ''}{at}{host}"


def _read_file(file: Path | None) -> Tree:
    if file is None:
        return {}
    if not file.is_file():
        raise UsageError(f"no settings file at {file}")
    try:
        return TomlConfigSettingsSource(Settings, file)()
    except (TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} is not TOML: {error}") from None


def _read_environment() -> Tree:
    try:
        source = EnvSettingsSource(Settings)
        _refuse_unknown_variables(
            [name for name in source.env_vars if name.startswith(_PREFIX) and name != _CONFIG_VARIABLE]
        )
        return source()
    except SettingsError as error:
        raise UsageError(f"environment: {error}; a table is given as JSON") from None


def _refuse_unknown_variables(variables: Sequence[str]) -> None:
    known = {_variable(name.split(".")).lower() for name in setting_names()}
    sections = {f"{_PREFIX}{section}" for section in Settings.model_fields}
    open_tables = tuple(_variable(name.split(".")).lower() + "__" for name in _OPEN)
    for variable in variables:
        if variable not in known | sections and not variable.startswith(open_tables):
            near = get_close_matches(variable, known, n=1, cutoff=0)[0].upper()
            raise UsageError(f"no such setting: {variable.upper()}; the nearest is {near}")


def _variable(path: Sequence[str]) -> str:
    return (_PREFIX + "__".join(path)).upper()


def _tree_of(flags: Mapping[str, object]) -> Tree:
    tree: Tree = {}
    for name, value in flags.items():
        _put(tree, name.split("."), value)
    return tree


def _put(tree: Tree, path: Sequence[str], value: object) -> None:
    for part in path[:-1]:
        tree = tree.setdefault(part, {})
    tree[path[-1]] = value


def _leaves(tree: Tree, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*path, name))
        else:
            yield (*path, name), value


def _refuse_unknown(name: str, origin: str) -> None:
    if name in Settings.model_fields:
        raise UsageError(f"{name} must be a table (from {origin})")
    names = setting_names()
    if name not in names and not name.startswith(tuple(f"{table}." for table in _OPEN)):
        raise UsageError(
            f"no such setting: {name} (from {origin}); the nearest is {get_close_matches(name, names, n=1, cutoff=0)[0]}"
        )


def _sentence(error: ValidationError, origins: Mapping[str, str]) -> str:
    first = error.errors(include_url=False, include_context=False)[0]
    name = ".".join(map(str, first["loc"]))
    value = "" if name.startswith(("kafka", "redis.url")) else f", got {first['input']!r}"
    return f"{name}: {first['msg']}{value} (from {origins.get(name, 'the settings')})"
