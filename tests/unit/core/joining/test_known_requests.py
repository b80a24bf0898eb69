"""Requests by id and customer: open, past, and dropped, with known answers at each comparison."""

import pytest

from stream_scorer.core.joining.known_requests import LabelledRequests, OpenRequest, OpenRequests
from stream_scorer.core.joining.labelling import Horizons
from stream_scorer.core.wire.own_topics import RankingHead, _Object

HORIZONS = Horizons(window_ms=100, late_ms=80, disorder_ms=40, back_ms=20, tick_ms=1, skew_ms=30, idle_slack_ms=5)


def opened(*requests: OpenRequest) -> OpenRequests:
    known = OpenRequests(HORIZONS)
    for request in requests:
        known.open(request, closed=False)
    return known


def request(name: str = "r", customer: str = "c", *, time_ms: int = 1_000, offset: int = 7) -> OpenRequest:
    return OpenRequest(name, customer, time_ms, offset, b"packed")


def test_an_id_may_be_several_customers() -> None:
    mine, theirs = request(), request("r", "d", offset=8)
    known = opened(mine, theirs)
    assert (known.get("r", "c"), known.get("r", "d"), known.get("r", "e")) == (mine, theirs, None)
    assert list(known.namesakes("r")) == list(known.values()) == [mine, theirs]
    assert not known.namesakes("q")


@pytest.mark.parametrize(("passed_ms", "closed"), [(99, 0), (100, 0), (101, 1)])
def test_a_window_closes_once(passed_ms: int, closed: int) -> None:
    known = opened(request())
    assert known.is_closing(1_000 + passed_ms) == bool(closed)
    assert len(list(known.close(1_000 + passed_ms))) == closed
    assert not known.is_closing(1_000 + passed_ms)


@pytest.mark.parametrize(("passed_ms", "past"), [(-1, False), (0, False), (1, True)])
def test_a_past_request_keeps_no_content(passed_ms: int, past: bool) -> None:
    mine = request()
    known = opened(mine)
    known.forget(1_000 + HORIZONS.forget_ms + passed_ms)
    assert (mine.past, mine.packed == b"", len(known)) == (past, past, 0 if past else 1)
    assert known.get("r", "c") is mine


@pytest.mark.parametrize(("passed_ms", "dropped"), [(-1, False), (0, False), (1, True)])
def test_a_request_is_dropped_after_remember(passed_ms: int, dropped: bool) -> None:
    known = opened(request(), request("r", "d", time_ms=9_000, offset=9))
    known.forget(1_000 + HORIZONS.remember_ms + passed_ms)
    assert (known.get("r", "c") is None) == dropped
    assert known.reach(100) == (9 if dropped else 7)
    assert known.get("r", "d") is not None


def test_a_reused_id_is_remembered_for_longer() -> None:
    mine = request()
    known = opened(mine)
    known.remember_until(mine, 1_500)
    known.forget(1_500 + HORIZONS.remember_ms)
    assert (known.get("r", "c"), known.reach(100)) == (mine, 7)
    known.forget(1_600 + HORIZONS.remember_ms)
    assert (known.get("r", "c"), known.reach(100)) == (None, 100)


def test_a_late_request_is_only_remembered() -> None:
    known = OpenRequests(HORIZONS)
    known.remember(request())
    assert (len(known), list(known.values())) == (0, [])
    assert known.get("r", "c") is not None


def labelled(*times_ms: int) -> LabelledRequests:
    """Return requests r0, r1, … of customer c that were labelled, at offsets 7, 8, …"""
    known = LabelledRequests(disorder_ms=40)
    for number, time_ms in enumerate(times_ms):
        known.note(7 + number, RankingHead(f"r{number}", "c", time_ms, "release", _Object(), []))
    return known


@pytest.mark.parametrize(("requested_ms", "passed"), [(959, True), (960, False), (961, False)])
def test_labelled_requests_pass_those_beyond_disorder(requested_ms: int, passed: bool) -> None:
    assert labelled(1_000).have_passed(requested_ms) == passed


@pytest.mark.parametrize(("newest_ms", "start"), [(1_039, 7), (1_040, 7), (1_041, 8)])
def test_labelled_requests_are_forgotten_beyond_disorder(newest_ms: int, start: int) -> None:
    known = labelled(1_000, newest_ms)
    known.forget()
    assert (known.start(99), known.time_of("r0", "c")) == (start, 1_000 if start == 7 else None)


def test_passing_by_moves_just_far_enough() -> None:
    known = labelled(1_000)
    known.pass_by(1_500)
    assert (known.have_passed(1_500), known.have_passed(1_501)) == (True, False)
