"""The ring at this moment, and what only several looks can show."""

import pytest

from stream_scorer.core.records import OutputRecord
from stream_scorer.errors import NotReady
from stream_scorer.services.operating.doctor import Finding
from stream_scorer.services.watching.ring_now import JobNow, RingNow, RingSampler, pace_findings
from tests.unit.services.watching.watched_ring import NOW_MS, SETTINGS, TOPICS, WatchedRing

RANK, BUFFER = SETTINGS.rank.group, SETTINGS.buffer.group


@pytest.fixture
def ring() -> WatchedRing:
    made = WatchedRing()
    made.work()
    for _ in range(5):
        made.broker.append(OutputRecord(TOPICS.requests, b"k", b"{}", partition=0))
    return made


def look(ring: WatchedRing, sampler: RingSampler, *, behind: int, end: int, after_s: float = 0) -> RingNow:
    ring.clock.sleep(after_s)
    ring.wait(RANK, TOPICS.requests, behind, end)
    return sampler.read()


def of_rank(now: RingNow) -> JobNow:
    return now.jobs[0]


def about(now: RingNow) -> list[tuple[str, str]]:
    return [(each.check, each.state) for each in pace_findings(now)]


def test_rates_are_of_the_last_minute(ring: WatchedRing) -> None:
    sampler = ring.sampler()
    look(ring, sampler, behind=0, end=0)
    now = look(ring, sampler, behind=1, end=5, after_s=10)
    assert (of_rank(now).arriving_per_s, of_rank(now).done_per_s) == (0.5, 0.4)
    assert (of_rank(now).members, of_rank(now).lag, now.since_ms) == (1, 1, NOW_MS)
    assert next(each for each in now.topics if each.name == TOPICS.requests).per_s == 0.5


def test_the_oldest_unread_record_is_found(ring: WatchedRing) -> None:
    assert of_rank(look(ring, ring.sampler(), behind=2, end=5)).unread_ms == NOW_MS
    # where nothing but the ends of transactions follows, nothing is unread
    assert of_rank(look(ring, ring.sampler(), behind=1, end=6)).unread_ms is None


def test_a_job_that_stands_is_a_fault(ring: WatchedRing) -> None:
    sampler = ring.sampler()
    for _ in range(7):
        now = look(ring, sampler, behind=2, end=5, after_s=10)
    (finding,) = pace_findings(now)
    assert (finding.check, finding.state) == (RANK, "fault")
    assert "2 records wait" in finding.says
    assert "/livez" in finding.do


def test_a_job_that_goes_on_is_well(ring: WatchedRing) -> None:
    sampler = ring.sampler()
    for number in range(1, 6):
        now = look(ring, sampler, behind=5 - number, end=5, after_s=30)
    assert about(now) == []


def test_a_growing_backlog_is_a_warning(ring: WatchedRing) -> None:
    sampler = ring.sampler()
    for number in range(3):
        now = look(ring, sampler, behind=3 + 1_000 * number, end=5 + 1_001 * number, after_s=40)
    assert about(now) == [(RANK, "warning")]


def test_a_group_without_members_is_a_warning(ring: WatchedRing) -> None:
    ring.admin.member_counts = {}
    found = list(pace_findings(ring.sampler().read()))
    assert [each.do for each in found] == ["stream-scorer rank", "stream-scorer join"]
    assert all(isinstance(each, Finding) and each.state == "warning" for each in found)


def test_brokers_that_are_away_are_said(ring: WatchedRing) -> None:
    ring.admin.away = True
    with pytest.raises(NotReady):
        ring.sampler().read()
