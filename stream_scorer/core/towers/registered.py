"""A registered model's name, and what of its facts a registry shows as metrics and as parameters."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from stream_scorer.errors import UsageError

METRICS_MAX = 1_000
PARAMS_MAX = 100
_NAME_CHARS_MAX = 250
_VALUE_CHARS_MAX = 500
_URI = re.compile(r"models:/([^/@:]+)(?:/(\d{1,18})|@([^/@:]+))")
# MLflow takes dots and slashes, too, but reads them as parts of a path, and refuses one such as `..`
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_\- ]")


@dataclass(frozen=True, slots=True)
class RegisteredName:
    """The name of a registered model, with the number of a version or with an alias that names one."""

    name: str
    version: str | None
    alias: str | None


def registered_name(uri: str) -> RegisteredName:
    """Read `models:/NAME/VERSION` or `models:/NAME@ALIAS`. Raises UsageError for anything else."""
    match = _URI.fullmatch(uri)
    if match is None:
        raise UsageError(f"a registered model is named models:/NAME/VERSION or models:/NAME@ALIAS, got {uri}")
    return RegisteredName(*match.groups())


def metrics_of(facts: Mapping[str, object]) -> dict[str, float]:
    """Return the numbers among a model's facts, by their path: `held_out_auc.within_customer`; at most METRICS_MAX."""
    return dict(list(_numbers(facts).items())[:METRICS_MAX])


def params_of(facts: Mapping[str, object]) -> dict[str, str]:
    """Return the texts and flags among a model's facts, such as its engine and its objective; at most PARAMS_MAX."""
    shown = {
        _part(name): str(value)[:_VALUE_CHARS_MAX] for name, value in facts.items() if isinstance(value, str | bool)
    }
    return dict(list(shown.items())[:PARAMS_MAX])


def _numbers(facts: Mapping[str, object], above: str = "") -> dict[str, float]:
    numbers: dict[str, float] = {}
    for name, value in facts.items():
        path = f"{above}{_part(name)}"
        if isinstance(value, Mapping):
            numbers |= _numbers(value, f"{path}.")
        elif isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            numbers[path[:_NAME_CHARS_MAX]] = float(value)
    return numbers


def _part(name: str) -> str:
    return _NOT_IN_A_NAME.sub("_", name)[:_NAME_CHARS_MAX] or "_"
