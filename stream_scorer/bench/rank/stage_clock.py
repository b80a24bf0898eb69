"""Divides the processor time of a thread among stages: functions that are watched while the real command runs."""

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

CLIENT = "client's threads"
STAGES = (
    "read",
    "align",
    "decode",
    "embed",
    "count features",
    "rank",
    "encode",
    "rest of the batch",
    "produce",
    "commit",
    "loop and metrics",
    CLIENT,
)
ELSEWHERE = "elsewhere"


class StageClock:
    """What a stage calls counts to it, unless that is a stage itself. One thread only."""

    def __init__(self, clock_s: Callable[[], float] = time.thread_time) -> None:
        self._clock_s = clock_s
        self._stage, self._since_s = ELSEWHERE, clock_s()
        self.spent_s: Counter[str] = Counter()

    def watch(self, owner: object, name: str, stage: str) -> None:
        """Replace the function `name` of a module or a class by one that counts its time to `stage`."""
        call: Callable[..., Any] = getattr(owner, name)

        def watched(*values: object, **options: object) -> object:
            before = self._enter(stage)
            try:
                return call(*values, **options)
            finally:
                self._enter(before)

        setattr(owner, name, watched)

    def _enter(self, stage: str) -> str:
        now_s = self._clock_s()
        self.spent_s.update({self._stage: now_s - self._since_s})
        before, self._stage, self._since_s = self._stage, stage, now_s
        return before
