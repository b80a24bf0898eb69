"""Offers of the current release by any text in them."""

from threading import Thread

import pytest

from stream_scorer.errors import ReleaseError, TransientError
from stream_scorer.services.watching.offer_search import FoundOffers, OfferSearch
from tests.release_samples import release
from tests.unit.services.watching.watched_ring import MODEL, NOW_MS, OFFERS, RELEASE, WatchedRing


@pytest.fixture
def ring() -> WatchedRing:
    made = WatchedRing()
    made.publish()
    return made


def find_offers(ring: WatchedRing, text: str) -> FoundOffers:
    return OfferSearch(ring.remembered(), wait_s=0.0).find(text)


def test_ids_and_features_are_searched(ring: WatchedRing) -> None:
    assert [each.offer_id for each in find_offers(ring, "OFFER-3").offers] == ["offer-3"]
    assert [each.offer_id for each in find_offers(ring, "tea 2").offers] == ["offer-2"]


def test_all_that_match_are_counted(ring: WatchedRing) -> None:
    found = find_offers(ring, "red")
    assert (found.matching, found.in_all, found.release_id) == (5, 5, RELEASE.release_id)


def test_without_a_release_there_is_nothing(ring: WatchedRing) -> None:
    with pytest.raises(ReleaseError, match="publish"):
        find_offers(WatchedRing(), "tea")


def test_a_release_is_loaded_once_a_minute(ring: WatchedRing) -> None:
    releases = ring.remembered()
    first = releases.load(RELEASE.release_id)
    assert releases.load(RELEASE.release_id) is first
    ring.releases.away = True
    ring.clock.sleep(61)
    with pytest.raises(TransientError):
        releases.load(RELEASE.release_id)


def test_a_search_is_made_once(ring: WatchedRing) -> None:
    search = OfferSearch(ring.remembered(), wait_s=0.0)
    assert search.find("Tea 2") is search.find("tea 2")


def test_another_release_is_searched_anew(ring: WatchedRing) -> None:
    search = OfferSearch(ring.remembered(), wait_s=0.0)
    assert search.find("tea").matching == len(OFFERS)
    ring.publish(release(MODEL, OFFERS[:2], created_ms=NOW_MS))
    assert search.find("tea").matching == 2


def test_answers_kept_are_bounded(ring: WatchedRing) -> None:
    search = OfferSearch(ring.remembered(), wait_s=0.0)
    first = search.find("tea 2")
    for number in range(64):
        search.find(f"x{number}")
    assert search.find("tea 2") is not first


def test_others_searches_are_waited_for_no_longer(ring: WatchedRing, monkeypatch: pytest.MonkeyPatch) -> None:
    search, refused = OfferSearch(ring.remembered(), wait_s=0.0), []

    def asked_beside() -> None:
        with pytest.raises(TransientError, match="others are searching") as refusal:
            search.find("tea")
        refused.append(refusal)

    def current() -> None:  # called in the middle of a search
        beside = Thread(target=asked_beside)
        beside.start()
        beside.join()

    monkeypatch.setattr(search._releases, "current", current)
    with pytest.raises(ReleaseError):
        search.find("tea")
    assert len(refused) == 1
