"""Waiting for what other processes do, with a bound that is meant for busy machines."""

import time
from collections.abc import Callable


def wait_for(holds: Callable[[], bool], what: str, *, within_s: float = 120.0, every_s: float = 0.1) -> float:
    """Wait until something holds, and return how long that took; fail with `what` when it takes too long."""
    started_s = time.monotonic()
    while not holds():
        assert time.monotonic() - started_s < within_s, f"{what}: not within {within_s:g} s"
        time.sleep(every_s)
    return time.monotonic() - started_s
