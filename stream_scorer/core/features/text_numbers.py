"""Reads texts that mean a number, by strict grammars for numbers and ISO 8601 dates, in training and in serving.

What may be a code stays text: numbers with leading zeros, and whole numbers of more digits than a double keeps.
"""

import math
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal

Reading = Literal["plain", "text", "date"]

NULL_WORDS = frozenset({"", "nan", "na", "n/a", "#n/a", "<na>", "null", "none"})
# Only ASCII digits count: \d would match those of other scripts, too, and float() would read them.
_INTEGER = re.compile(r"[+-]?(0|[1-9]\d{0,14})", re.ASCII)
_NUMBER = re.compile(r"[+-]?(0|[1-9]\d*)?(\.\d*)?([eE][+-]?\d+)?", re.ASCII)
_LONG_INTEGER = re.compile(r"[+-]?\d{16,}", re.ASCII)
_ISO_DATE = re.compile(
    r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:?\d\d)?)?",
    re.ASCII,
)
_LOCAL_DATE = re.compile(r"\d{1,2}([./-])\d{1,2}\1\d{2,4}|\d{4}([./])\d{1,2}\2\d{1,2}", re.ASCII)
_DAY_S = 86_400.0


def is_integer(text: str) -> bool:
    """Return whether a text is a whole number that a double keeps."""
    return _INTEGER.fullmatch(text) is not None


def is_long_integer(text: str) -> bool:
    """Return whether a text is a whole number of more digits than a double keeps."""
    return _LONG_INTEGER.fullmatch(text) is not None


def is_number(text: str) -> bool:
    """Return whether a text is a finite number without leading zeros, and no whole number too long for a double."""
    if _NUMBER.fullmatch(text) is None or _LONG_INTEGER.fullmatch(text):
        return False
    with suppress(ValueError):
        return math.isfinite(float(text))
    return False


def looks_like_a_local_date(text: str) -> bool:
    """Return whether a text may be a date in a local form, whose order of day and month nobody can know."""
    return _LOCAL_DATE.fullmatch(text.strip()) is not None


@lru_cache(maxsize=65_536)
def number_in(text: str) -> float | None:
    """Return the number that a text means, NaN for a text such as NA that means none, None for any other text."""
    bare = text.strip()
    if bare.lower() in NULL_WORDS:
        return math.nan
    return float(bare) if is_number(bare) else None


@lru_cache(maxsize=65_536)
def days_in(text: str) -> float | None:
    """Return an ISO date or time, UTC unless it states a zone, as days since 1970-01-01; else as `number_in` does."""
    bare = text.strip()
    if bare.lower() in NULL_WORDS:
        return math.nan
    if _ISO_DATE.fullmatch(bare) is None:
        return None
    try:
        moment = datetime.fromisoformat(bare)
    except ValueError:  # such as the 30th of February
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() / _DAY_S


PARSERS: Mapping[Reading, Callable[[str], float | None]] = {"text": number_in, "date": days_in}
