"""Messages as other formats hold them: there a list must say of what it is, also where it is empty.

A value of a feature or a filter is a number, text, a bool, null, or a list of texts or of numbers. Unions of Avro and
of Protobuf hold one list at most, so that lists stand in records of their own: `Texts` and `Numbers`.
"""

from collections.abc import Callable, Mapping
from typing import Any

from stream_scorer.core.wire.codec import MAY_BE_ABSENT

TEXTS, NUMBERS = "texts", "numbers"
Change = Callable[[Any], Any]


def with_values(message: Mapping[str, Any], change: Change) -> dict[str, Any]:
    """Return the message with each value of a feature or a filter changed; whichever message of ours it is."""
    changed = dict(message)
    if isinstance(features := changed.get("features"), Mapping):
        changed["features"] = {name: change(value) for name, value in features.items()}
    if isinstance(offers := changed.get("offers"), list):
        changed["offers"] = [with_values(each, change) if isinstance(each, Mapping) else each for each in offers]
    if isinstance(filters := changed.get("filters"), list):
        changed["filters"] = [
            {**each, "value": change(each["value"])} if isinstance(each, Mapping) and "value" in each else each
            for each in filters
        ]
    return changed


def without_absent(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return the message without those fields of offers that our JSON leaves out where they have no value."""
    offers = message.get("offers")
    if not isinstance(offers, list):
        return dict(message)
    kept = [
        {name: value for name, value in each.items() if value is not None or name not in MAY_BE_ABSENT}
        if isinstance(each, Mapping)
        else each
        for each in offers
    ]
    return {**message, "offers": kept}


def unwrapped(value: Any) -> Any:
    """Return a value as JSON has it: none of ours is an object there, so that `Texts` is never mistaken for one."""
    if isinstance(value, Mapping) and len(value) == 1:
        ((name, inner),) = value.items()
        return inner if name in {TEXTS, NUMBERS} else value
    return value


def wrapped(value: Any, wrap: Callable[[str, list[Any]], Any]) -> Any:
    """Return a value with `wrap` about a list, by whether it is of texts or of numbers."""
    if not isinstance(value, list):
        return value
    return wrap(NUMBERS if value and not isinstance(value[0], str) else TEXTS, value)
