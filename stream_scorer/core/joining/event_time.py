"""The progress of event time in one partition of rankings and outcomes.

Two clocks. The watermark decides what is forgotten, settled or too late, and so what labels say; records alone move it. The closing
time decides only when an unanswered offer is written as a negative, which a later answer corrects; while a partition is quiet it goes
on at the pace of the broker's clock. A quiet as long as everything is kept moves the watermark too, so that nothing is held for ever.
"""

from collections import deque
from dataclasses import dataclass

from stream_scorer.core.joining.labelling import Horizons

NO_TIME = -1


@dataclass(frozen=True, slots=True)
class Clocks:
    """What must outlive a restart."""

    watermark_ms: int = NO_TIME
    newest_ms: int = NO_TIME
    newest_appended_ms: int = NO_TIME
    newest_outcome_ms: int = NO_TIME


class EventTime:
    """Told of every record, it says how far event time has come; reads no clock of its own."""

    def __init__(self, horizons: Horizons, clocks: Clocks = Clocks()) -> None:
        self._horizons = horizons
        self.watermark_ms = clocks.watermark_ms
        self.closing_ms = clocks.watermark_ms
        self._newest_ms, self._newest_appended_ms = clocks.newest_ms, clocks.newest_appended_ms
        self._newest_outcome_ms = clocks.newest_outcome_ms
        # (append time, event time) of rankings newer than all before them that have not lain for the slack; the newest that has
        self._fresh = deque([(clocks.newest_appended_ms, clocks.newest_ms)])
        self._lain_ms = NO_TIME
        self.rankings_ended = self.outcomes_ended = False

    def clocks(self) -> Clocks:
        """Return what must outlive a restart."""
        return Clocks(self.watermark_ms, self._newest_ms, self._newest_appended_ms, self._newest_outcome_ms)

    def ranking(self, time_ms: int, appended_ms: int) -> None:
        """Take note of a ranking that was opened."""
        if time_ms > self._newest_ms:
            self._newest_ms, self._newest_appended_ms = time_ms, appended_ms
            self._fresh.append((appended_ms, time_ms))

    def outcome(self, time_ms: int) -> None:
        """Take note of an outcome."""
        self._newest_outcome_ms = max(self._newest_outcome_ms, time_ms)

    def advance(self, now_ms: int | None) -> None:
        """Move both clocks; `now_ms` is said only when outcomes had nothing more to read at that time."""
        self.watermark_ms = max(self.watermark_ms, self._floor(self._by_records_ms(now_ms)))
        if now_ms is not None and self._quiet_ms(now_ms) > self._horizons.keep_ms + self._horizons.idle_slack_ms:
            self.watermark_ms = max(self.watermark_ms, self._floor(self._by_clock_ms(now_ms)))
        self.closing_ms = max(self.closing_ms, self.watermark_ms, self._floor(self._by_clock_ms(now_ms)))

    def would_be(self, now_ms: int) -> tuple[int, int]:
        """Return the watermark and the closing time that the clock would make, outcomes having nothing more."""
        later = EventTime(self._horizons, self.clocks())
        later._fresh, later._lain_ms = self._fresh.copy(), self._lain_ms
        later.rankings_ended, later.outcomes_ended = self.rankings_ended, self.outcomes_ended
        later.advance(now_ms)
        return later.watermark_ms, later.closing_ms

    def _floor(self, time_ms: int) -> int:
        return time_ms // self._horizons.tick_ms * self._horizons.tick_ms

    def _by_records_ms(self, now_ms: int | None) -> int:
        """Return how far the records say that event time has come: no further than outcomes are read.

        Past the newest outcome it goes only with outcomes at their end, and only to rankings that have lain in the log for the slack:
        what was written to the other topic before them is there by then, however much faster than life the events are sent.
        """
        if now_ms is not None and self.outcomes_ended:
            while self._fresh and self._fresh[0][0] <= now_ms - self._horizons.idle_slack_ms:
                self._lain_ms = self._fresh.popleft()[1]
        return max(min(self._newest_ms, self._newest_outcome_ms), self._lain_ms)

    def _by_clock_ms(self, now_ms: int | None) -> int:
        quiet_ms = 0 if now_ms is None else self._quiet_ms(now_ms)
        return self._newest_ms + quiet_ms - self._horizons.idle_slack_ms if quiet_ms else NO_TIME

    def _quiet_ms(self, now_ms: int) -> int:
        """Return how long ago, by the broker's clock, the newest ranking was written, 0 while there is more to read."""
        if self._newest_ms == NO_TIME or not (self.rankings_ended and self.outcomes_ended):
            return 0
        return max(0, now_ms - self._newest_appended_ms)
