"""Watches a trial of the search: measures how long its epochs take, and decides when it should end."""

from stream_scorer.ports import Clock
from stream_scorer.training.lesson import Epoch

_WINS_AFTER = 0.4  # of the epochs: a trial that is far behind from then on is given up
_BEHIND_ERRORS = 3.0
_BEHIND_LOSS = 0.03  # relative, where there is no standard error


class TrialWatch:
    """Notes when epochs end, and ends the trial when the time is over or the trial cannot win any more."""

    def __init__(self, clock: Clock, end_s: float, *, kept_back: float = 0.0, rival: tuple[Epoch, ...] = ()) -> None:
        """Begin now. Before `end_s`, time for `kept_back` more epochs of this trial's length is kept free."""
        self.clock, self.end_s, self.kept_back, self.rival = clock, end_s, kept_back, rival
        self.begun_s = clock.monotonic_s()
        self.times_s: list[float] = []
        self.given_up = ""

    @property
    def first_s(self) -> float:
        """Seconds of the first epoch, which includes the setting up."""
        return self.times_s[0] - self.begun_s

    @property
    def epoch_s(self) -> float:
        """Mean seconds of the epochs after the first; those of the first while it is the only one."""
        others = len(self.times_s) - 1
        return (self.times_s[-1] - self.times_s[0]) / others if others else self.first_s

    def stops(self, epoch: Epoch) -> bool:
        """Note the end of an epoch, and return whether the trial should end with it."""
        self.times_s.append(self.clock.monotonic_s())
        # The training after the search has this trial's options if they win, so its epochs take as long as these.
        if self.times_s[-1] + self.kept_back * self.epoch_s > self.end_s:
            self.given_up = "time was over"
        elif self.rival and epoch.number >= _WINS_AFTER * epoch.epochs and self._behind(epoch):
            self.given_up = "could not win"
        return bool(self.given_up)

    def _behind(self, epoch: Epoch) -> bool:
        """Compare with the best trial at the same share of its epochs, where the learning rate has fallen as far."""
        place = min(len(self.rival), max(1, round(epoch.number / epoch.epochs * self.rival[0].epochs)))
        other = self.rival[place - 1]
        allowed = _BEHIND_ERRORS * other.held_out_ndcg_error or _BEHIND_LOSS * abs(other.badness)
        return epoch.badness > other.badness + allowed
