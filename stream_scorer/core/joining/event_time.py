"""The progress of event time in one partition of rankings and outcomes.

Two clocks. The watermark decides what is forgotten, settled or too late, and so what labels say; records alone move it.
The closing time decides only when an unanswered offer is written as a negative, which a later answer corrects; while no
ranking comes it goes on at the pace of the broker's clock. A partition that is quiet as a whole, rankings and outcomes,
for as long as everything is kept moves the watermark too, so that nothing is kept for ever.
"""

from collections import deque
from dataclasses import dataclass

from stream_scorer.core.joining.labelling import Horizons

NO_TIME = -1
STEPS_MAX = 1_000  # the slack is divided into so many steps: how finely append times within it are kept


@dataclass(frozen=True, slots=True)
class Clocks:
    """What must outlive a restart: event times, and the broker's times at which the newest records were appended."""

    watermark_ms: int = NO_TIME
    newest_ms: int = NO_TIME
    newest_appended_ms: int = NO_TIME
    newest_outcome_ms: int = NO_TIME
    outcome_appended_ms: int = NO_TIME


class EventTime:
    """Follows the records of a partition and computes how far event time has come; reads no clock of its own."""

    def __init__(self, horizons: Horizons, clocks: Clocks = Clocks()) -> None:
        self._horizons = horizons
        self.watermark_ms = clocks.watermark_ms
        self.closing_ms = clocks.watermark_ms
        self._newest_ms, self._newest_appended_ms = clocks.newest_ms, clocks.newest_appended_ms
        self._newest_outcome_ms, self._outcome_appended_ms = clocks.newest_outcome_ms, clocks.outcome_appended_ms
        # (append time, event time) of rankings newer than all before them, ascending in both; see `_note_fresh`
        self._fresh = deque([(clocks.newest_appended_ms, clocks.newest_ms)])
        self._lain_ms = NO_TIME  # the newest ranking that had lain for the slack when the clock was last read
        self.rankings_ended = self.outcomes_ended = False

    def clocks(self) -> Clocks:
        """Return what must outlive a restart."""
        return Clocks(
            self.watermark_ms,
            self._newest_ms,
            self._newest_appended_ms,
            self._newest_outcome_ms,
            self._outcome_appended_ms,
        )

    def ranking(self, time_ms: int, appended_ms: int) -> None:
        """Take note of a ranking that was opened."""
        if time_ms > self._newest_ms:
            self._newest_ms, self._newest_appended_ms = time_ms, appended_ms
            self._note_fresh(appended_ms, time_ms)

    def outcome(self, time_ms: int, appended_ms: int) -> None:
        """Take note of an outcome.

        One far behind the newest is a straggler, and no sign that the partition is awake.
        """
        if time_ms > self._newest_outcome_ms - self._horizons.disorder_ms:
            self._outcome_appended_ms = max(self._outcome_appended_ms, appended_ms)
        self._newest_outcome_ms = max(self._newest_outcome_ms, time_ms)

    def advance(self, now_ms: int | None) -> None:
        """Move both clocks; `now_ms` is given only when outcomes had nothing more to read at that time."""
        if now_ms is not None and self.outcomes_ended:
            self._lain_ms = self._newest_lain_ms(now_ms)
        self.watermark_ms, self.closing_ms = self._moved(now_ms, self._lain_ms)

    def would_be(self, now_ms: int) -> tuple[int, int]:
        """Return the watermark and the closing time that `advance` would make, outcomes having nothing more."""
        return self._moved(now_ms, self._newest_lain_ms(now_ms) if self.outcomes_ended else self._lain_ms)

    def _moved(self, now_ms: int | None, lain_ms: int) -> tuple[int, int]:
        """Return both clocks: no further than outcomes are read, or the newest ranking that has lain if that is later.

        Of a ranking that has lain in the log for the slack, all outcomes written before it are read by then, however
        much faster than in life the events are sent.
        """
        by_records_ms = self._floor(max(min(self._newest_ms, self._newest_outcome_ms), lain_ms))
        by_clock_ms = self._floor(self._by_clock_ms(now_ms))
        watermark_ms = max(self.watermark_ms, by_records_ms)
        if now_ms is not None and self._is_asleep(now_ms):
            watermark_ms = max(watermark_ms, by_clock_ms)
        return watermark_ms, max(self.closing_ms, watermark_ms, by_clock_ms)

    def _note_fresh(self, appended_ms: int, time_ms: int) -> None:
        """Remember a ranking until the next has lain for the slack; a bounded number, whatever the size of a backlog.

        When the clock is read, all that was appended a slack before the newest has lain: of those only the newest
        counts. Rankings of one step of the slack count as appended with the last of them.
        """
        step_ms = max(1, self._horizons.idle_slack_ms // STEPS_MAX)
        appended_ms = max(appended_ms, self._fresh[-1][0])
        if appended_ms // step_ms == self._fresh[-1][0] // step_ms:
            self._fresh.pop()
        self._fresh.append((appended_ms, time_ms))
        while len(self._fresh) > 1 and self._fresh[1][0] <= appended_ms - self._horizons.idle_slack_ms:
            self._fresh.popleft()

    def _newest_lain_ms(self, now_ms: int) -> int:
        lain = (time_ms for appended_ms, time_ms in reversed(self._fresh) if self._has_lain(appended_ms, now_ms))
        return max(self._lain_ms, next(lain, NO_TIME))

    def _has_lain(self, appended_ms: int, now_ms: int) -> bool:
        return appended_ms <= now_ms - self._horizons.idle_slack_ms

    def _floor(self, time_ms: int) -> int:
        return time_ms // self._horizons.tick_ms * self._horizons.tick_ms

    def _by_clock_ms(self, now_ms: int | None) -> int:
        """Return event time as if it went on with the clock since the newest ranking; NO_TIME before both ends."""
        if now_ms is None or self._newest_ms == NO_TIME or not (self.rankings_ended and self.outcomes_ended):
            return NO_TIME
        quiet_ms = now_ms - self._newest_appended_ms
        return self._newest_ms + quiet_ms - self._horizons.idle_slack_ms if quiet_ms > 0 else NO_TIME

    def _is_asleep(self, now_ms: int) -> bool:
        """Return whether neither topic has had a record for as long as everything is kept."""
        newest_ms = max(self._newest_appended_ms, self._outcome_appended_ms)
        return now_ms - newest_ms > self._horizons.keep_ms + self._horizons.idle_slack_ms
