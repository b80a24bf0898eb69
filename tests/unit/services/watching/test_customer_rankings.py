"""A customer's last rankings, explained while their release is held."""

import pytest

from stream_scorer.services.watching.customer_rankings import RANKINGS_SHOWN
from tests.unit.services.watching.watched_ring import RELEASE, TOPICS, WatchedRing


@pytest.fixture
def ring() -> WatchedRing:
    made = WatchedRing()
    made.publish()
    return made


def test_the_last_rankings_are_explained(ring: WatchedRing) -> None:
    for number in range(RANKINGS_SHOWN + 2):
        ring.rank(f"q-{number}")
        ring.rank(f"other-{number}", "ben")
    found = ring.customer("ada")
    assert [each.ranking.request_id for each in found.rankings] == ["q-6", "q-5", "q-4", "q-3", "q-2"]
    assert all(one.parts and not one.fault for each in found.rankings for one in each.offers)


def test_labels_stand_beside_their_ranking(ring: WatchedRing) -> None:
    ring.rank("q-1")
    ring.label("q-1", accepted=True, revision=2)
    ring.label("q-1", accepted=False, revision=1)
    (found,) = ring.customer("ada").rankings
    assert found.labels is not None
    assert found.labels.offers[0].cause == "accepted"


def test_an_unknown_customer_has_no_rankings(ring: WatchedRing) -> None:
    ring.rank("q-1", "ben")
    found = ring.customer("ada")
    assert (found.rankings, found.unread_labels) == ((), "")


def test_a_release_no_longer_held_is_said(ring: WatchedRing) -> None:
    stranger = WatchedRing()
    stranger.rank("q-1")
    (found,) = stranger.customer("ada").rankings
    assert RELEASE.release_id in found.fault
    assert [one.offer.rank for one in found.offers] == [1, 2, 3, 4, 5]
    assert not any(one.parts for one in found.offers)


def test_rankings_are_shown_while_redis_is_away(ring: WatchedRing) -> None:
    ring.rank("q-1")
    ring.releases.away = True
    (found,) = ring.customer("ada").rankings
    assert found.fault
    assert found.offers


def test_missing_labels_do_not_hide_rankings(ring: WatchedRing) -> None:
    ring.rank("q-1")
    ring.broker.missing.add(TOPICS.labels)
    assert len(ring.customer("ada").rankings) == 1
