"""Figures that are read while somebody looks."""

import pytest

from stream_scorer.adapters.local.clock import HandClock
from stream_scorer.errors import NotReady
from stream_scorer.services.watching.watched import FRESH_S, LOOKED_AT_S, Panel, Watched


class Source:
    def __init__(self) -> None:
        self.reads, self.away = 0, False

    def read(self) -> int:
        if self.away:
            raise NotReady("no broker answers")
        self.reads += 1
        return self.reads


@pytest.fixture
def clock() -> HandClock:
    return HandClock(1_000)


def test_nothing_is_read_before_somebody_looks(clock: HandClock) -> None:
    watched = Watched(Source().read, clock=clock, every_s=10)
    assert (watched.panel(), watched.due()) == (Panel(), False)
    watched.ask()
    assert watched.due()


def test_what_is_fresh_is_not_read_again(clock: HandClock) -> None:
    watched = Watched(Source().read, clock=clock, every_s=10)
    watched.ask()
    watched.refresh()
    assert (watched.panel(), watched.due()) == (Panel(1, 1_000), False)
    clock.sleep(10)
    assert watched.due()


def test_nobody_looks_and_nothing_is_read(clock: HandClock) -> None:
    watched = Watched(Source().read, clock=clock, every_s=10)
    watched.ask()
    clock.sleep(LOOKED_AT_S)
    assert not watched.due()


def test_old_readings_are_not_shown_again(clock: HandClock) -> None:
    watched = Watched(Source().read, clock=clock, every_s=10)
    watched.ask()
    watched.refresh()
    clock.sleep(LOOKED_AT_S)
    watched.ask()
    assert (watched.panel(), watched.due()) == (Panel(), True)


def test_all_who_look_share_a_reading(clock: HandClock) -> None:
    source = Source()
    watched = Watched(source.read, clock=clock, every_s=10)
    stops = iter((False, False, True))
    watched.ask()
    watched.ask()
    watched.follow(lambda: next(stops))
    assert source.reads == 1


def test_trouble_takes_the_figures_place(clock: HandClock) -> None:
    source = Source()
    watched = Watched(source.read, clock=clock, every_s=10)
    watched.refresh()
    source.away = True
    watched.refresh()
    assert watched.panel() == Panel(None, 1_000, "no broker answers")


def test_our_own_mistakes_are_raised(clock: HandClock) -> None:
    with pytest.raises(ZeroDivisionError):
        Watched(lambda: 1 // 0, clock=clock, every_s=10).refresh()


def test_following_ends_by_closing(clock: HandClock) -> None:
    source, closed = Source(), []
    watched = Watched(source.read, clock=clock, every_s=10, close=lambda: closed.append(source.reads))
    stops = iter((False, True))
    watched.ask()
    watched.follow(lambda: next(stops))
    assert closed == [1]


def test_old_readings_state_their_age() -> None:
    panel = Panel(1, 1_000)
    assert panel.old_s(1_000 + int(1000 * FRESH_S)) is None
    assert panel.old_s(61_000) == 60
    assert Panel().old_s(61_000) is None
