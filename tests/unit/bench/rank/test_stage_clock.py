"""How the time of a thread is divided among stages."""

from types import SimpleNamespace

from stream_scorer.bench.rank.stage_clock import ELSEWHERE, STAGES, StageClock
from stream_scorer.bench.rank.stages import StageTimes, stages_page


class Work:
    """Functions that take these seconds; `now_s` is the time."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.done = SimpleNamespace(inner=lambda: self.take(2.0), outer=self.outer, fail=self.fail)

    def take(self, seconds: float) -> float:
        self.now_s += seconds
        return self.now_s

    def outer(self) -> float:
        self.take(1.0)
        self.done.inner()
        return self.take(4.0)

    def fail(self) -> None:
        self.take(8.0)
        raise ValueError


def test_a_stage_within_another_counts_alone() -> None:
    work = Work()
    clock = StageClock(lambda: work.now_s)
    clock.watch(work.done, "inner", "rank")
    clock.watch(work.done, "outer", "commit")
    work.take(0.5)
    assert work.done.outer() == 7.5
    assert clock.spent_s == {ELSEWHERE: 0.5, "rank": 2.0, "commit": 5.0}


def test_a_stage_that_fails_ends() -> None:
    work = Work()
    clock = StageClock(lambda: work.now_s)
    clock.watch(work.done, "fail", "rank")
    clock.watch(work.done, "inner", "read")
    try:
        work.done.fail()
    except ValueError:
        work.done.inner()
    assert clock.spent_s == {ELSEWHERE: 0.0, "rank": 8.0, "read": 2.0}


def test_the_page_has_each_stage() -> None:
    page = stages_page([StageTimes("exactly_once", dict.fromkeys(STAGES, 1.25))]).splitlines()
    assert [line[:24].strip() for line in page[1:]] == list(STAGES)
    assert page[1] == "read                                 1.2"
