"""Figures as people read them: counts, shares, durations and times."""

import math
from datetime import UTC, datetime

_MINUTE_S, _HOUR_S, _DAY_S = 60.0, 3_600.0, 86_400.0
UNKNOWN = "\N{EN DASH}"


def count(value: float | None) -> str:
    """Write a whole number with its thousands apart."""
    return UNKNOWN if value is None else f"{value:,.0f}"


def rate(value: float | None) -> str:
    """Write a number a second."""
    if value is None:
        return UNKNOWN
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def share(value: float | None) -> str:
    """Write a share in per cent."""
    return UNKNOWN if value is None else f"{100 * value:.1f} %"


def duration(seconds: float | None) -> str:
    """Write a duration in the unit that suits it."""
    if seconds is None:
        return UNKNOWN
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    for size, unit in ((_DAY_S, "d"), (_HOUR_S, "h"), (_MINUTE_S, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"


def signed(value: float) -> str:
    """Write what a feature adds to a score, with its sign."""
    return f"{value:+.3f}".replace("-", "\N{MINUS SIGN}") if math.isfinite(value) else UNKNOWN


def time_at(time_ms: int | None) -> str:
    """Write a time of UTC to the second, with its date."""
    if time_ms is None:
        return UNKNOWN
    try:
        return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, ValueError, OSError):
        return f"{time_ms} ms"
