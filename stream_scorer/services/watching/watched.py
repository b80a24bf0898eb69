"""Figures that are read in the background while somebody looks, so that no page waits for a broker that is away.

All who look share a reading. When nobody does, nothing is read: a page that is left running costs the brokers nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from threading import Event
from typing import Generic, TypeVar

from stream_scorer.errors import StreamScorerError
from stream_scorer.ports import Clock

FiguresT = TypeVar("FiguresT")

LOOKED_AT_S = 30.0  # a page that is open asks again much sooner
FRESH_S = 45.0  # twice as long as the slowest part waits between two readings: what is older waits for one that hangs
_LOOK_S = 0.5


@dataclass(frozen=True, slots=True)
class Panel(Generic[FiguresT]):
    """What was read last, and when; `trouble` says why nothing could be read. Both empty: the first read goes on."""

    figures: FiguresT | None = None
    read_ms: int = 0
    trouble: str = ""

    def old_s(self, now_ms: int) -> float | None:
        """Return how old this is in seconds; None: so fresh as a page that is looked at should be."""
        age_s = (now_ms - self.read_ms) / 1000
        return age_s if self.read_ms and age_s > FRESH_S else None


class Watched(Generic[FiguresT]):
    """Reads again every `every_s` while somebody looks.

    `follow` is for one thread, all else for any.
    """

    def __init__(
        self,
        read: Callable[[], FiguresT],
        *,
        clock: Clock,
        every_s: float,
        close: Callable[[], None] = lambda: None,
    ) -> None:
        """Use `read` and, at the end of `follow`, `close` in its thread alone: clients of Kafka are for one."""
        self._read, self._close, self._clock, self._every_s = read, close, clock, every_s
        self._panel: Panel[FiguresT] = Panel()
        self._asked, self._first = Event(), Event()
        self._asked_s = self._read_s = float("-inf")

    def ask(self) -> None:
        """Note that somebody looks: what is older than `every_s` is read again, by the thread that follows."""
        now_s = self._clock.monotonic_s()
        # what was read for those who looked long ago says nothing about now, and "well" least of all
        if now_s - max(self._asked_s, self._read_s) >= LOOKED_AT_S:
            self._first.clear()
            self._panel = Panel()
        self._asked_s = now_s
        self._asked.set()

    def panel(self, *, wait_s: float = 0.0) -> Panel[FiguresT]:
        """Return what was read last; wait so long for one, where there is none of late."""
        self._first.wait(wait_s)
        return self._panel

    def refresh(self) -> None:
        """Read now. Trouble outside becomes the panel's; our own mistakes are raised."""
        try:
            self._panel = Panel(self._read(), self._clock.now_ms())
        except StreamScorerError as error:
            self._panel = Panel(None, self._clock.now_ms(), str(error))
        self._read_s = self._clock.monotonic_s()
        self._first.set()

    def due(self) -> bool:
        """Return whether it is time to read again."""
        now_s = self._clock.monotonic_s()
        return now_s - self._asked_s < LOOKED_AT_S and now_s - self._read_s >= self._every_s

    def follow(self, stopping: Callable[[], bool]) -> None:
        """Read whenever it is due, until `stopping`; then close what it reads from."""
        while not stopping():
            if self.due():
                self.refresh()
            self._asked.wait(_LOOK_S)
            self._asked.clear()
        self._close()
