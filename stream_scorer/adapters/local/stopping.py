"""When a loop should end: SIGTERM, SIGINT, or a parent that is gone, looked at between batches."""

import os
import signal
from collections.abc import Callable
from threading import Event
from types import FrameType


def stop_signals(*, parent: int | None = None) -> Callable[[], bool]:
    """Take over both signals from now on; the result returns whether to stop. A second signal ends the process at once.

    With `parent` it also returns true once that process is no longer our parent, since it has ended or was killed.
    """
    signalled = Event()

    def note(number: int, frame: FrameType | None) -> None:
        if signalled.is_set():
            raise SystemExit(128 + number)
        signalled.set()

    signal.signal(signal.SIGTERM, note)
    signal.signal(signal.SIGINT, note)
    return lambda: signalled.is_set() or (parent is not None and os.getppid() != parent)
