"""The ends of topics in figures, within bounds."""

import pytest

from stream_scorer.core.messages import ReleaseId
from stream_scorer.core.records import OutputRecord, Partition
from stream_scorer.errors import TransientError, UsageError
from stream_scorer.services.watching.topic_tails import TailReader, labels_now, letters_now, rankings_now
from tests.unit.services.watching.watched_ring import NOW_MS, RELEASE, TOPICS, WatchedRing


@pytest.fixture
def ring() -> WatchedRing:
    return WatchedRing()


def test_empty_topics_have_no_figures(ring: WatchedRing) -> None:
    assert rankings_now(ring.tail(), TOPICS.rankings) is None
    assert labels_now(ring.tail(), TOPICS.labels) is None
    assert letters_now(ring.tail(), TOPICS.dead_letters).counts == {}


def test_so_many_records_are_read_at_most(ring: WatchedRing) -> None:
    for number in range(20):
        ring.rank(f"q-{number}", f"customer-{number}")
    found = rankings_now(ring.tail(records_max=10), TOPICS.rankings)
    assert found is not None
    assert found.rankings == 10
    assert found.waits.p50_s == 1.0


def test_foreign_records_among_rankings_are_passed_over(ring: WatchedRing) -> None:
    ring.rank("q-1")
    ring.broker.append(OutputRecord(TOPICS.rankings, b"ada", b"no ranking"))
    found = rankings_now(ring.tail(), TOPICS.rankings)
    assert found is not None
    assert (found.rankings, found.since_ms) == (1, NOW_MS)


def test_the_latest_revision_counts(ring: WatchedRing) -> None:
    ring.label("q-1", accepted=False, revision=1)
    ring.label("q-1", accepted=True, revision=2)
    ring.label("q-2", accepted=False)
    found = labels_now(ring.tail(), TOPICS.labels)
    assert found is not None
    assert found.health.causes == {"accepted": 1, "window_closed": 1}
    (rate,) = found.rates
    assert (rate.release_id, rate.closed, rate.accepted) == (ReleaseId(RELEASE.release_id), 2, 1)
    assert rate.share.low < rate.share.value == 0.5 < rate.share.high


def test_letters_of_the_last_day_count(ring: WatchedRing) -> None:
    ring.refuse(b"{", "not_json")
    ring.clock.sleep(2 * 86_400)
    ring.refuse(b"{}", "missing_field")
    assert [each.code for each in letters_now(ring.tail(), TOPICS.dead_letters).most_first()] == ["missing_field"]


def test_a_missing_topic_says_what_to_do(ring: WatchedRing) -> None:
    ring.broker.missing.add(TOPICS.rankings)
    with pytest.raises(UsageError, match="stream-scorer topics"):
        rankings_now(ring.tail(), TOPICS.rankings)


def test_only_records_of_the_key_are_kept(ring: WatchedRing) -> None:
    for number in range(6):
        ring.rank(f"q-{number}", "ada" if number == 4 else "ben")
        ring.clock.sleep(1)
    (ben, *_, ada, _) = ring.broker.topic(TOPICS.rankings)
    assert ada.partition == ben.partition
    found = ring.tail(records_max=5).newest_with_key(Partition(TOPICS.rankings, ada.partition), b"ada")
    assert ([each.key for each in found.own], found.read, found.since_ms) == ([b"ada"], 5, NOW_MS + 1_000)


def test_reading_ends_at_its_deadline(ring: WatchedRing) -> None:
    ring.rank("q-1")
    tail = ring.tail()
    with pytest.raises(TransientError, match="not read within"):
        rankings_now(TailReader(tail.reader, tail.clock, 10, -1.0), TOPICS.rankings)
