"""The clock of this machine, and a clock that is set by hand."""

import time


class SystemClock:
    """See Clock."""

    def now_ms(self) -> int:
        """See Clock."""
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        """See Clock."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """See Clock."""
        time.sleep(seconds)


class HandClock:
    """See Clock. It moves only when it is set, or when somebody waits on it."""

    def __init__(self, now_ms: int = 0) -> None:
        """Start at a time."""
        self._now_ms = float(now_ms)

    def now_ms(self) -> int:
        """See Clock."""
        return int(self._now_ms)

    def monotonic_s(self) -> float:
        """See Clock."""
        return self._now_ms / 1000

    def sleep(self, seconds: float) -> None:
        """See Clock: the time is over at once."""
        self._now_ms += seconds * 1000

    def set(self, now_ms: int) -> None:
        """Set the time."""
        self._now_ms = float(now_ms)
