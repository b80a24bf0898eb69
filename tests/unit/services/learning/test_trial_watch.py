"""When a trial ends: at the end of its time, or once it cannot win."""

import pytest

from stream_scorer.adapters.local.clock import HandClock
from stream_scorer.services.learning.trial_watch import TrialWatch
from stream_scorer.training.lesson import Epoch


def stops(watch: TrialWatch, clock: HandClock, *seconds: float, loss: float = 1.0) -> list[bool]:
    """Let epochs of so many seconds end, and return after which the trial should end."""
    found = []
    for number, each in enumerate(seconds, 1):
        clock.sleep(each)
        found.append(watch.stops(Epoch(number, 10, loss, held_out_loss=loss)))
    return found


@pytest.mark.parametrize(("kept_back", "expected"), [(0.0, [False, False, True]), (2.0, [True, True, True])])
def test_time_ends_a_trial_for_what_follows(kept_back: float, expected: list[bool]) -> None:
    clock = HandClock()
    watch = TrialWatch(clock, clock.monotonic_s() + 5, kept_back=kept_back)
    assert stops(watch, clock, 2, 2, 2) == expected
    assert watch.given_up == "time was over"


def test_the_first_epoch_includes_setting_up() -> None:
    clock = HandClock()
    watch = TrialWatch(clock, clock.monotonic_s() + 100)
    stops(watch, clock, 7, 2, 2)
    assert (watch.first_s, watch.epoch_s) == (7, 2)


def test_a_trial_far_behind_ends_late_enough() -> None:
    clock = HandClock()
    rival = tuple(Epoch(number, 10, 1.0, held_out_loss=1.0) for number in range(1, 11))
    watch = TrialWatch(clock, clock.monotonic_s() + 100, rival=rival)
    assert stops(watch, clock, 1, 1, 1, 1, loss=1.1) == [False, False, False, True]
    assert watch.given_up == "could not win"
