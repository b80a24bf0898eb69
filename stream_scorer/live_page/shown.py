"""What of personal data is shown, and how offers are named: as the settings say."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stream_scorer.core.inspecting.masking import SHOWN_MAX, masked_feature, masked_id, masked_value
from stream_scorer.core.wire.letter_codes import CODES

_NAMES = ("name", "title")
_VALUE_CHARS_MAX = 60


@dataclass(frozen=True, slots=True)
class Shown:
    """With `personal` everything is shown; `offer_name` is the feature that names offers, None: a usual one."""

    personal: bool
    offer_name: str | None
    records_max: int

    def customer(self, customer_id: str) -> str:
        """Return a customer's id for people."""
        return customer_id if self.personal else masked_id(customer_id)

    def feature(self, value: object) -> str:
        """Return a customer's feature for people."""
        return plain_feature(value) if self.personal else masked_feature(value)

    def letter_value(self, value: bytes | None) -> str:
        """Return the value of a dead letter for people."""
        if value is None:
            return "no value: a tombstone"
        return value[:SHOWN_MAX].decode(errors="replace") if self.personal else masked_value(value)

    def offer(self, features: Mapping[str, Any]) -> str:
        """Return an offer's name; empty where it has none."""
        names = _NAMES if self.offer_name is None else (self.offer_name,)
        named = [value for name in names if isinstance(value := features.get(name), str) and value]
        return named[0][:_VALUE_CHARS_MAX] if named else ""


def plain_feature(value: object) -> str:
    """Return a feature's value as short text; of a vector its length."""
    if isinstance(value, list):
        if value and not isinstance(value[0], str):
            return f"a vector of {len(value)} numbers"
        value = ", ".join(map(str, value)) or "empty"
    text = f"{value:.5g}" if type(value) is float else str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= _VALUE_CHARS_MAX else f"{text[: _VALUE_CHARS_MAX - 1]}…"


def cause_and_cure(code: str) -> tuple[str, str]:
    """Return why a code comes about, and what helps; both empty for a code that none of our jobs writes."""
    known = CODES.get(code)
    return ("", "") if known is None else (known.cause, known.cure)
