"""When a loop should end: SIGTERM, SIGINT, or a parent that is gone, looked at between batches."""

import os
import signal
from collections.abc import Callable
from threading import Event
from types import FrameType


def stop_signals(*, parent: int | None = None) -> Callable[[], bool]:
    """Take over both signals from now on; the result says whether to stop. A second signal ends the process at once.

    With `parent` it also says so once that process is no longer the one above this one: it has ended, or was killed.
    """
    told = Event()

    def note(number: int, frame: FrameType | None) -> None:
        if told.is_set():
            raise SystemExit(128 + number)
        told.set()

    signal.signal(signal.SIGTERM, note)
    signal.signal(signal.SIGINT, note)
    return lambda: told.is_set() or (parent is not None and os.getppid() != parent)
