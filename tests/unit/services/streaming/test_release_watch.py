"""What a ranker holds, whatever happens to the store."""

from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from stream_scorer.adapters.local.clock import HandClock
from stream_scorer.adapters.memory.releases import MemoryReleases
from stream_scorer.core.releases.release import Release
from stream_scorer.errors import BadModel, TransientError
from stream_scorer.services.streaming.release_watch import BACK_OFF_MAX_S, ReleaseWatch
from tests.release_samples import change, model, offer, published, withdrawal

POLL_S = 0.2


@pytest.fixture
def store() -> MemoryReleases:
    return MemoryReleases()


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def watch(store: MemoryReleases, clock: HandClock) -> ReleaseWatch:
    return ReleaseWatch(store, clock, poll_s=POLL_S)


def held(watch: ReleaseWatch) -> Release:
    release = watch.current()
    assert release is not None
    return release


def test_nothing_is_held_before_the_first_release(watch: ReleaseWatch) -> None:
    assert watch.poll() == POLL_S
    assert watch.current() is None


def test_a_new_release_is_held_after_a_poll(store: MemoryReleases, watch: ReleaseWatch) -> None:
    for seed in (1, 2):
        _, written = published(store, seed)
        watch.poll()
        assert held(watch).release_id == written.release_id


def test_a_poll_without_news_hands_out_the_very_same_release(store: MemoryReleases, watch: ReleaseWatch) -> None:
    published(store)
    watch.poll()
    before = held(watch)
    watch.poll()
    assert held(watch) is before


def test_changes_are_applied_to_what_is_held(store: MemoryReleases, watch: ReleaseWatch) -> None:
    made, written = published(store)
    watch.poll()
    before = held(watch)
    changes = [change(made, offer(9), 1), withdrawal(2, 2)]
    store.change(written.release_id, changes, progress={})
    watch.poll()
    assert held(watch).catalog.offer_ids == ["offer-0", "offer-1", "offer-3", "offer-4", "offer-9"]
    assert len(before.catalog) == 5


def test_more_changes_than_one_read_gives_are_all_applied_in_one_poll(
    store: MemoryReleases, watch: ReleaseWatch
) -> None:
    made, written = published(store)
    watch.poll()
    store.change(written.release_id, [change(made, offer(number), number) for number in range(2_500)], progress={})
    watch.poll()
    assert len(held(watch).catalog) == 2_500


def test_what_a_catalog_had_to_make_is_made_for_the_next_before_it_is_handed_out(
    store: MemoryReleases, watch: ReleaseWatch
) -> None:
    made, written = published(store)
    watch.poll()
    held(watch).catalog.once(len)
    store.change(written.release_id, [change(made, offer(1, features={"price": 3.5}), 1)], progress={})
    watch.poll()
    assert held(watch).catalog.derived == {len: 5}
    published(store, 2, offers=7)
    watch.poll()
    assert held(watch).catalog.derived == {len: 7}


def test_the_release_is_loaded_again_when_the_log_of_changes_is_gone(
    store: MemoryReleases, watch: ReleaseWatch
) -> None:
    _, written = published(store)
    store.change(written.release_id, [withdrawal(1, 1)], progress={})
    watch.poll()
    store.forget_changes(written.release_id)
    store.change(written.release_id, [withdrawal(2, 1)], progress={})
    watch.poll()
    assert held(watch).catalog.offer_ids == ["offer-0", "offer-1", "offer-3", "offer-4"]


def test_what_is_held_goes_on_while_the_store_is_away_and_says_how_old_it_is(
    store: MemoryReleases, watch: ReleaseWatch, clock: HandClock
) -> None:
    _, written = published(store)
    watch.poll()
    store.away = True
    clock.sleep(7.0)
    watch.poll()
    assert held(watch).release_id == written.release_id
    assert watch.silent_s() == 7.0
    store.away = False
    watch.poll()
    assert watch.silent_s() == 0.0


def test_the_store_is_asked_less_often_while_it_is_away_and_as_before_when_it_is_back(
    store: MemoryReleases, watch: ReleaseWatch
) -> None:
    store.away = True
    delays = [watch.poll() for _ in range(10)]
    assert delays[:3] == [0.4, 0.8, 1.6]
    assert max(delays) == BACK_OFF_MAX_S
    store.away = False
    assert watch.poll() == POLL_S


def test_an_outage_is_logged_once_and_so_is_its_end(store: MemoryReleases, watch: ReleaseWatch) -> None:
    published(store)
    watch.poll()
    with capture_logs() as logs:
        store.away = True
        for _ in range(5):
            watch.poll()
        store.away = False
        for _ in range(5):
            watch.poll()
    assert [line["state"] for line in logs] == ["store away", "following"]


def test_what_is_held_goes_on_when_the_pointer_names_what_cannot_be_read(
    store: MemoryReleases, watch: ReleaseWatch
) -> None:
    _, first = published(store, 1)
    watch.poll()
    _, second = published(store, 2)
    store.lose(second.release_id)
    with capture_logs() as logs:
        watch.poll()
    assert held(watch).release_id == first.release_id
    assert [line["state"] for line in logs] == ["release unreadable"]


class BrokenStore(MemoryReleases):
    def current(self) -> None:
        raise BadModel("our own mistake")


@pytest.fixture
def broken() -> Iterator[ReleaseWatch]:
    watch = ReleaseWatch(BrokenStore(), HandClock(), poll_s=POLL_S)
    watch.start()
    yield watch
    watch.close()


def test_a_mistake_of_our_own_reaches_the_main_thread(broken: ReleaseWatch) -> None:
    glances = iter([False] * 50)
    with pytest.raises(BadModel, match="our own mistake"):
        broken.wait_first(lambda: next(glances, True))
    with pytest.raises(BadModel, match="our own mistake"):
        broken.current()


def test_waiting_for_the_first_release_says_so_and_ends_when_told(watch: ReleaseWatch) -> None:
    glances = iter([False, False, True])
    with capture_logs() as logs:
        assert watch.wait_first(lambda: next(glances)) is None
    assert len(logs) == 1
    assert "stream-scorer publish" in logs[0]["event"]


def test_the_thread_takes_up_the_first_release(store: MemoryReleases, watch: ReleaseWatch) -> None:
    _, written = published(store)
    watch.start()
    first = watch.wait_first(lambda: False)
    watch.close()
    assert first is not None
    assert first.release_id == written.release_id


def test_the_store_being_away_is_no_reason_to_end(store: MemoryReleases, watch: ReleaseWatch) -> None:
    store.away = True
    watch.poll()
    with pytest.raises(TransientError):
        store.current()
    assert watch.current() is None


def test_the_vectors_that_are_held_are_those_of_the_model(store: MemoryReleases, watch: ReleaseWatch) -> None:
    made, written = published(store)
    store.change(written.release_id, [change(made, offer(1, features={"price": 3.5}), 1)], progress={})
    watch.poll()
    expected = model(1).item_tower.embed([{"price": 3.5}], ["offer-1"]).vectors.astype("float32")
    assert held(watch).catalog.vectors[1].tolist() == expected[0].tolist()


def test_a_store_that_was_emptied_confirms_nothing_and_what_is_held_serves_on(
    store: MemoryReleases, watch: ReleaseWatch, clock: HandClock
) -> None:
    published(store)
    watch.poll()
    store._history.clear()
    clock.sleep(7.0)
    watch.poll()
    assert held(watch) is not None
    assert watch.silent_s() == 7.0
    assert watch.state() == "store without a release"
