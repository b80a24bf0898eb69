"""When a loop should end: SIGTERM, SIGINT, or a parent that is gone, looked at between batches."""

import os
import signal
from collections.abc import Callable
from threading import Event
from types import FrameType


def stop_signals(*, with_parent: bool = False) -> Callable[[], bool]:
    """Take over both signals from now on; the result says whether to stop. A second signal ends the process at once.

    With `with_parent` it also says so once the process that started this one has ended, even when it was killed.
    """
    told = Event()
    parent = os.getppid()

    def note(number: int, frame: FrameType | None) -> None:
        if told.is_set():
            raise SystemExit(128 + number)
        told.set()

    signal.signal(signal.SIGTERM, note)
    signal.signal(signal.SIGINT, note)
    return lambda: told.is_set() or (with_parent and os.getppid() != parent)
