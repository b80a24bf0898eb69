"""How far event time can have come in a partition when a record was read: an upper bound, from the records alone.

The joiner's watermark is not on the topics. It never passes the newest ranking that was read, except in a partition
that has been quiet for as long as everything is kept. So a record within reach of this bound cannot have come too
late, whatever the joiner's batches were.
"""

from bisect import bisect_right

from stream_scorer.core.joining.labelling import Horizons

NO_TIME = -1
STEPS_MAX = 65_536


class PartitionTimes:
    """Takes the rankings and the outcomes of one partition number, each in the order of their offsets."""

    def __init__(self, horizons: Horizons) -> None:
        self._horizons = horizons
        self._newest_ms = self._newest_appended_ms = self._newest_outcome_ms = NO_TIME
        self._appended: list[int] = []
        self._reached: list[int] = []

    def ranking(self, time_ms: int, appended_ms: int) -> int:
        """Take a ranking, and return the bound just before it was read."""
        bound_ms = self._with_quiet(self._newest_ms, self._newest_appended_ms, appended_ms)
        if self._newest_ms < time_ms <= appended_ms + self._horizons.skew_ms:
            self._newest_ms, self._newest_appended_ms = time_ms, appended_ms
            self._appended.append(max(appended_ms, *self._appended[-1:], NO_TIME))
            self._reached.append(time_ms)
            self._thin_out()
        return bound_ms

    def outcome(self, time_ms: int, appended_ms: int) -> int:
        """Take an outcome, and return the newest time of those before it."""
        before_ms = self._newest_outcome_ms
        if time_ms <= appended_ms + self._horizons.skew_ms:
            self._newest_outcome_ms = max(before_ms, time_ms)
        return before_ms

    def reached_ms(self, appended_ms: int) -> int:
        """Return the bound by the rankings that were written until then."""
        place = bisect_right(self._appended, appended_ms) - 1
        if place < 0:
            return NO_TIME
        return self._with_quiet(self._reached[place], self._appended[place], appended_ms)

    def _with_quiet(self, newest_ms: int, newest_appended_ms: int, appended_ms: int) -> int:
        """Let time go on with the clock where nothing was ranked for as long as everything is kept."""
        quiet_ms = appended_ms - newest_appended_ms
        if newest_ms == NO_TIME or quiet_ms <= self._horizons.keep_ms:
            return newest_ms
        return newest_ms + quiet_ms

    def _thin_out(self) -> None:
        """Halve the steps when there are too many; those that stay take the next one's time, which raises the bound."""
        if len(self._appended) >= STEPS_MAX:
            self._appended, self._reached = self._appended[::2], self._reached[1::2]
