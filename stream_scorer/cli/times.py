"""Times as people give and read them: "24h" ago, or 2026-11-27T14:00."""

import re
from datetime import UTC, datetime

_UNITS_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_AGO = re.compile(r"([0-9]{1,6})([smhd])")


def time_of(option: str, text: str | None, now_ms: int) -> int | None:
    """Return the time that an option states, milliseconds since the epoch; None where it was not given.

    Raises UsageError for a text that is neither so long ago nor a time of ISO 8601; without a zone it is UTC.
    """
    from stream_scorer.errors import UsageError

    if text is None:
        return None
    if ago := _AGO.fullmatch(text):
        return now_ms - int(ago[1]) * _UNITS_MS[ago[2]]
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"{option} must be so long ago (90m, 24h, 3d) or a time (2026-11-27T14:00), got {text[:40]!r}"
        ) from None
    return int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1000)


def shown_time(time_ms: int) -> str:
    """Write a time for people, UTC, to the second."""
    try:
        return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        return f"{time_ms} ms"
