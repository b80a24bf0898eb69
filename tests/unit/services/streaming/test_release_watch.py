"""What a ranker holds, whatever happens to the store."""

from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from stream_scorer.adapters.local.clock import HandClock
from stream_scorer.adapters.memory.releases import MemoryReleases
from stream_scorer.core.releases.release import Release
from stream_scorer.core.towers.reranker import OfferSide
from stream_scorer.errors import BadModel, TransientError
from stream_scorer.services.streaming.release_watch import BACK_OFF_MAX_S, WAITING_LOG_S, ReleaseWatch
from tests.release_samples import change, model, offer, published, release, reranked_model, withdrawal
from tests.reranking_samples import network

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


def test_a_poll_takes_up_a_new_release(store: MemoryReleases, watch: ReleaseWatch) -> None:
    for seed in (1, 2):
        _, written = published(store, seed)
        watch.poll()
        assert held(watch).release_id == written.release_id


def test_a_poll_without_news_keeps_the_release(store: MemoryReleases, watch: ReleaseWatch) -> None:
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


def test_one_poll_applies_all_changes(store: MemoryReleases, watch: ReleaseWatch) -> None:
    made, written = published(store)
    watch.poll()
    store.change(written.release_id, [change(made, offer(number), number) for number in range(2_500)], progress={})
    watch.poll()
    assert len(held(watch).catalog) == 2_500


def test_the_next_catalog_is_warm_when_given(store: MemoryReleases, watch: ReleaseWatch) -> None:
    made, written = published(store)
    watch.poll()
    held(watch).catalog.once(len)
    store.change(written.release_id, [change(made, offer(1, features={"price": 3.5}), 1)], progress={})
    watch.poll()
    assert held(watch).catalog.derived == {len: 5}
    published(store, 2, offers=7)
    watch.poll()
    assert held(watch).catalog.derived == {len: 7}


def test_offer_sides_are_there_before_batches(store: MemoryReleases, watch: ReleaseWatch) -> None:
    made = reranked_model(1, network())
    written = release(made, [offer(number) for number in range(5)])
    store.write(written, made)
    store.activate(written.release_id, keep=2)
    watch.poll()
    store.change(written.release_id, [change(made, offer(9), 1)], progress={})
    for offers in (5, 6):
        (side,) = [one for one in held(watch).catalog.derived.values() if isinstance(one, OfferSide)]
        assert len(side.arrays["codes"]) == offers
        watch.poll()
    published(store, 2)
    watch.poll()
    assert held(watch).catalog.derived == {}


def test_a_lost_change_log_reloads_the_release(store: MemoryReleases, watch: ReleaseWatch) -> None:
    _, written = published(store)
    store.change(written.release_id, [withdrawal(1, 1)], progress={})
    watch.poll()
    store.forget_changes(written.release_id)
    store.change(written.release_id, [withdrawal(2, 1)], progress={})
    watch.poll()
    assert held(watch).catalog.offer_ids == ["offer-0", "offer-1", "offer-3", "offer-4"]


def test_an_absent_store_leaves_the_release_serving(
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


def test_an_absent_store_is_asked_less_often(store: MemoryReleases, watch: ReleaseWatch) -> None:
    store.away = True
    delays = [watch.poll() for _ in range(10)]
    assert delays[:3] == [0.4, 0.8, 1.6]
    assert max(delays) == BACK_OFF_MAX_S
    store.away = False
    assert watch.poll() == POLL_S


def test_an_outage_is_logged_once_each_way(store: MemoryReleases, watch: ReleaseWatch) -> None:
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


def test_an_unreadable_pointer_leaves_the_release_serving(store: MemoryReleases, watch: ReleaseWatch) -> None:
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


def test_our_own_mistakes_reach_the_main_thread(broken: ReleaseWatch) -> None:
    glances = iter([False] * 50)
    with pytest.raises(BadModel, match="our own mistake"):
        broken.wait_first(lambda: next(glances, True))
    with pytest.raises(BadModel, match="our own mistake"):
        broken.current()


def test_the_wait_for_a_release_can_stop(watch: ReleaseWatch) -> None:
    glances = iter([False, False, True])
    watch.poll()
    with capture_logs() as logs:
        assert watch.wait_first(lambda: next(glances)) is None
    assert len(logs) == 1
    assert "stream-scorer publish" in logs[0]["event"]


def test_a_release_being_loaded_is_no_wait(watch: ReleaseWatch) -> None:
    glances = iter([False, False, True])
    with capture_logs() as logs:
        assert watch.wait_first(lambda: next(glances)) is None
    assert logs == []


def test_a_store_that_never_answers_is_logged(watch: ReleaseWatch, clock: HandClock) -> None:
    def passes() -> bool:
        clock.sleep(WAITING_LOG_S / 2)
        return clock.monotonic_s() > 3 * WAITING_LOG_S

    with capture_logs() as logs:
        assert watch.wait_first(passes) is None
    assert len(logs) == 3


def test_the_thread_takes_up_the_first_release(store: MemoryReleases, watch: ReleaseWatch) -> None:
    _, written = published(store)
    watch.start()
    first = watch.wait_first(lambda: False)
    watch.close()
    assert first is not None
    assert first.release_id == written.release_id


def test_an_absent_store_ends_no_wait(store: MemoryReleases, watch: ReleaseWatch) -> None:
    store.away = True
    watch.poll()
    with pytest.raises(TransientError):
        store.current()
    assert watch.current() is None


def test_serving_vectors_are_the_models(store: MemoryReleases, watch: ReleaseWatch) -> None:
    made, written = published(store)
    store.change(written.release_id, [change(made, offer(1, features={"price": 3.5}), 1)], progress={})
    watch.poll()
    expected = model(1).item_tower.embed([{"price": 3.5}], ["offer-1"]).vectors.astype("float32")
    assert held(watch).catalog.vectors[1].tolist() == expected[0].tolist()


def test_an_emptied_store_confirms_nothing(store: MemoryReleases, watch: ReleaseWatch, clock: HandClock) -> None:
    published(store)
    watch.poll()
    store._history.clear()
    clock.sleep(7.0)
    watch.poll()
    assert held(watch) is not None
    assert watch.silent_s() == 7.0
    assert watch.state() == "store without a release"
