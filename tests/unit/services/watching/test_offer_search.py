"""Offers of the current release by any text in them."""

import pytest

from stream_scorer.errors import ReleaseError, TransientError
from stream_scorer.services.watching.offer_search import find_offers
from tests.unit.services.watching.watched_ring import RELEASE, WatchedRing


@pytest.fixture
def ring() -> WatchedRing:
    made = WatchedRing()
    made.publish()
    return made


def test_ids_and_features_are_searched(ring: WatchedRing) -> None:
    assert [each.offer_id for each in find_offers(ring.remembered(), "OFFER-3").offers] == ["offer-3"]
    assert [each.offer_id for each in find_offers(ring.remembered(), "tea 2").offers] == ["offer-2"]


def test_all_that_match_are_counted(ring: WatchedRing) -> None:
    found = find_offers(ring.remembered(), "red")
    assert (found.matching, found.in_all, found.release_id) == (5, 5, RELEASE.release_id)


def test_without_a_release_there_is_nothing(ring: WatchedRing) -> None:
    with pytest.raises(ReleaseError, match="publish"):
        find_offers(WatchedRing().remembered(), "tea")


def test_a_release_is_loaded_once_a_minute(ring: WatchedRing) -> None:
    releases = ring.remembered()
    first = releases.load(RELEASE.release_id)
    assert releases.load(RELEASE.release_id) is first
    ring.releases.away = True
    ring.clock.sleep(61)
    with pytest.raises(TransientError):
        releases.load(RELEASE.release_id)
