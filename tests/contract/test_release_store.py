"""What every store of releases must do, in memory and on a real Redis-protocol server."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import redis

from stream_scorer.adapters.memory.lists import MemoryLists
from stream_scorer.adapters.memory.releases import MemoryReleases
from stream_scorer.adapters.redis.client import connect
from stream_scorer.adapters.redis.releases import RedisReleases
from stream_scorer.core.messages import ReleaseId
from stream_scorer.core.releases.catalog import Catalog, index_cover
from stream_scorer.core.releases.release import GateFigures
from stream_scorer.core.towers.tower import digest_towers
from stream_scorer.errors import ReleaseError
from stream_scorer.ports import ReleaseStore
from tests.release_samples import change, indexed_release, model, offer, published, release, reranked_model, withdrawal
from tests.reranking_samples import network


@pytest.fixture(params=["memory", "redis"])
def store(request: pytest.FixtureRequest) -> Iterator[ReleaseStore]:
    if request.param == "memory":
        yield MemoryReleases()
        return
    client = connect(request.getfixturevalue("redis_url"), timeout_s=10.0)
    yield RedisReleases(client, prefix=request.getfixturevalue("redis_prefix"), open_index=MemoryLists)
    client.close()


def assert_same(left: Catalog, right: Catalog) -> None:
    assert (left.release_id, left.offer_ids, left.fragments) == (right.release_id, right.offer_ids, right.fragments)
    assert left.vectors.tobytes() == right.vectors.tobytes()
    for name in ("active", "valid_from_ms", "valid_until_ms"):
        assert getattr(left, name).tolist() == getattr(right, name).tolist()


def test_an_empty_store_has_no_release(store: ReleaseStore) -> None:
    assert store.current() is None
    assert store.releases() == []


def test_a_written_release_serves_nobody_yet(store: ReleaseStore) -> None:
    made = model(1)
    written = release(made, [offer(1)])
    store.write(written, made)
    assert store.current() is None
    store.activate(written.release_id, keep=3)
    assert store.current() == written.release_id


@pytest.mark.parametrize("offers", [0, 1, 4_096, 4_097])
def test_what_is_loaded_is_what_was_written(store: ReleaseStore, offers: int) -> None:
    made = model(1)
    mixed = [
        offer(number, active=number % 3 > 0, valid_from_ms=number or None, valid_until_ms=None)
        for number in range(offers)
    ]
    written = replace(release(made, mixed), forced=("a fault",))
    store.write(written, made)
    loaded = store.load(written.release_id)
    assert_same(loaded.catalog, written.catalog)
    assert (loaded.release_id, loaded.created_ms, loaded.forced) == (
        written.release_id,
        written.created_ms,
        ("a fault",),
    )


def test_an_index_comes_back_as_it_was(store: ReleaseStore) -> None:
    made = model(1)
    written = indexed_release(made, [offer(number) for number in range(9)])
    store.write(written, made)
    store.activate(written.release_id, keep=3)
    loaded = store.load(written.release_id).catalog.nearest
    assert loaded is not None
    assert written.catalog.nearest is not None
    assert loaded.file.list_of.tolist() == written.catalog.nearest.file.list_of.tolist()
    assert loaded.file.centroids.tobytes() == written.catalog.nearest.file.centroids.tobytes()
    assert (loaded.file.probes, loaded.file.recall) == (1, 0.99)


def test_an_index_covers_offers_as_published(store: ReleaseStore) -> None:
    made = model(1)
    written = indexed_release(made, [offer(number) for number in range(9)])
    store.write(written, made)
    store.activate(written.release_id, keep=3)
    store.change(
        written.release_id,
        [change(made, offer(3, features={"price": -9.0}), 1), withdrawal(4, 2)],
        progress={0: (0, 3)},
    )
    catalog = store.load(written.release_id).catalog
    cover = catalog.once(index_cover)
    assert cover is not None
    assert cover.fresh.tolist() == [3]
    assert cover.rows is not None
    assert cover.rows.tolist() == [0, 1, 2, -1, -1, 4, 5, 6, 7]


def test_the_towers_come_back_as_they_were(store: ReleaseStore) -> None:
    made, written = published(store)
    loaded = store.model(written.release_id)
    assert (loaded.model_id, loaded.facts) == (made.model_id, made.facts)
    assert digest_towers(store.load(written.release_id).user_tower, loaded.item_tower) == made.model_id


def test_a_reranker_comes_back_as_it_was(store: ReleaseStore) -> None:
    made = reranked_model(1, network())
    written = release(made, [offer(1)])
    store.write(written, made)
    store.activate(written.release_id, keep=3)
    for again in (store.load(written.release_id).reranker, store.model(written.release_id).reranker):
        assert again is not None
        assert {name: array.tobytes() for name, array in again.tensors().items()} == {
            name: array.tobytes() for name, array in network().tensors().items()
        }
    (listed,) = store.releases()
    assert (listed.reranker, store.model(written.release_id).model_id) == ("network", made.model_id)
    assert written.release_id != release(model(1), [offer(1)]).release_id


def test_an_unknown_release_is_refused(store: ReleaseStore) -> None:
    unknown = ReleaseId("r-0")
    for read in (store.load, store.model, lambda release_id: store.activate(release_id, keep=1)):
        with pytest.raises(ReleaseError, match="r-0"):
            read(unknown)


def test_releases_are_listed_newest_first(store: ReleaseStore) -> None:
    (_, first), (_, second) = published(store, 1), published(store, 2)
    assert [(info.release_id, info.current, info.offers) for info in store.releases()] == [
        (second.release_id, True, 5),
        (first.release_id, False, 5),
    ]


def test_publishing_the_same_again_is_harmless(store: ReleaseStore) -> None:
    _, written = published(store)
    store.change(written.release_id, [withdrawal(1, 7)], progress={0: (0, 8)})
    assert published(store)[1].release_id == written.release_id
    assert len(store.load(written.release_id).catalog) == 4
    assert len(store.releases()) == 1


def test_releases_beyond_keep_are_let_go(store: ReleaseStore) -> None:
    ids = [published(store, seed, keep=2)[1].release_id for seed in (1, 2, 3, 4)]
    assert [info.release_id for info in store.releases()] == [ids[3], ids[2]]


def test_the_next_publication_drops_abandoned_writes(store: ReleaseStore) -> None:
    made = model(9)
    store.write(release(made, [offer(1)]), made)
    _, written = published(store)
    assert [info.release_id for info in store.releases()] == [written.release_id]


def test_rollback_goes_to_the_release_before(store: ReleaseStore) -> None:
    (_, first), (_, second), _ = published(store, 1), published(store, 2), published(store, 3)
    assert store.roll_back(keep=3) == second.release_id == store.current()
    assert store.roll_back(keep=3) == first.release_id == store.current()


def test_rollback_without_an_earlier_release_is_refused(store: ReleaseStore) -> None:
    _, only = published(store)
    with pytest.raises(ReleaseError, match="no earlier release"):
        store.roll_back(keep=3)
    assert store.current() == only.release_id


def test_reactivation_rolls_back_to_its_predecessor(store: ReleaseStore) -> None:
    (_, first), (_, second) = published(store, 1), published(store, 2)
    store.roll_back(keep=3)
    published(store, 2)
    assert store.current() == second.release_id
    assert store.roll_back(keep=3) == first.release_id


def test_changes_are_in_what_is_loaded_afterwards(store: ReleaseStore) -> None:
    made, written = published(store)
    dearer, new = offer(1, features={"price": 99.5, "tags": ["a"]}, active=False), offer(77, valid_until_ms=5)
    applied = store.change(
        written.release_id, [change(made, dearer, 3), withdrawal(2, 4), change(made, new, 5)], progress={0: (0, 6)}
    )
    catalog = store.load(written.release_id).catalog
    assert applied == 3
    assert catalog.offer_ids == ["offer-0", "offer-1", "offer-3", "offer-4", "offer-77"]
    assert catalog.fragments[1] == b'{"price":99.5,"tags":["a"]}'
    assert catalog.active.tolist() == [True, False, True, True, True]
    assert catalog.valid_until_ms[4] == 5
    assert catalog.vectors[1].tobytes() == change(made, dearer, 3).vector


def test_an_older_offset_never_overwrites_a_newer(store: ReleaseStore) -> None:
    made, written = published(store)
    assert store.change(written.release_id, [change(made, offer(1, features={"price": 2.0}), 9)], progress={}) == 1
    assert store.change(written.release_id, [withdrawal(1, 8)], progress={}) == 0
    assert store.load(written.release_id).catalog.fragments[1] == b'{"price":2.0}'


def test_the_same_change_again_applies_nothing(store: ReleaseStore) -> None:
    made, written = published(store)
    changes = [change(made, offer(1, features={"price": 2.0}), 9)]
    assert [store.change(written.release_id, changes, progress={0: (0, 10)}) for _ in range(2)] == [1, 0]
    assert store.progress(written.release_id) == {0: 10}


def test_a_follower_gets_each_change_once(store: ReleaseStore) -> None:
    made, written = published(store)
    mark = store.load(written.release_id).mark
    first, second = change(made, offer(1, features={"price": 2.0}), 1), withdrawal(2, 2)
    store.change(written.release_id, [first], progress={})
    got, mark = store.changes(written.release_id, mark)
    assert got == [first]
    store.change(written.release_id, [second], progress={})
    got, mark = store.changes(written.release_id, mark)
    assert got == [second]
    assert store.changes(written.release_id, mark) == ([], mark)


def test_followers_get_only_later_changes(store: ReleaseStore) -> None:
    _, written = published(store)
    store.change(written.release_id, [withdrawal(1, 1)], progress={})
    loaded = store.load(written.release_id)
    store.change(written.release_id, [withdrawal(2, 2)], progress={})
    assert store.changes(written.release_id, loaded.mark)[0] == [withdrawal(2, 2)]


def test_followers_read_changes_in_bounded_parts(store: ReleaseStore) -> None:
    _, written = published(store)
    wanted = [withdrawal(number, number) for number in range(2_500)]
    store.change(written.release_id, wanted, progress={})
    parts = [store.changes(written.release_id, "0")]
    while parts[-1][0]:
        parts.append(store.changes(written.release_id, parts[-1][1]))
    assert [len(changes) for changes, _ in parts] == [1_000, 1_000, 500, 0]
    assert [change for changes, _ in parts for change in changes] == wanted


def test_only_the_current_release_can_be_changed(store: ReleaseStore) -> None:
    (_, first), (_, second) = published(store, 1), published(store, 2)
    with pytest.raises(ReleaseError, match=second.release_id):
        store.change(first.release_id, [withdrawal(1, 1)], progress={0: (0, 2)})
    assert len(store.load(first.release_id).catalog) == 5
    assert store.progress(first.release_id) == {}


def test_progress_travels_with_changes_only_forward(store: ReleaseStore) -> None:
    _, written = published(store)
    assert store.progress(written.release_id) == {}
    store.change(written.release_id, [], progress={0: (0, 10), 3: (0, 4)})
    store.change(written.release_id, [], progress={0: (5, 8)})
    assert store.progress(written.release_id) == {0: 10, 3: 4}


def test_changes_beyond_the_stores_progress_fail(store: ReleaseStore) -> None:
    _, written = published(store)
    store.change(written.release_id, [], progress={0: (0, 10)})
    with pytest.raises(ReleaseError, match="behind"):
        store.change(written.release_id, [withdrawal(1, 12)], progress={0: (11, 13)})
    assert len(store.load(written.release_id).catalog) == 5
    assert store.progress(written.release_id) == {0: 10}


def test_forgetting_changes_resets_release_and_followers(store: ReleaseStore) -> None:
    _, written = published(store)
    store.change(written.release_id, [withdrawal(1, 1)], progress={0: (0, 2)})
    mark = store.load(written.release_id).mark
    store.forget_changes(written.release_id)
    assert_same(store.load(written.release_id).catalog, written.catalog)
    assert store.progress(written.release_id) == {}
    with pytest.raises(ReleaseError, match="gone"):
        store.changes(written.release_id, mark)


def test_a_restarted_change_log_is_recognised(store: ReleaseStore) -> None:
    _, written = published(store)
    store.change(written.release_id, [withdrawal(1, 1)], progress={})
    mark = store.load(written.release_id).mark
    store.forget_changes(written.release_id)
    store.change(written.release_id, [withdrawal(2, 1), withdrawal(3, 2)], progress={})
    with pytest.raises(ReleaseError, match="gone"):
        store.changes(written.release_id, mark)


def test_another_topics_changes_need_forgetting_first(store: ReleaseStore) -> None:
    _, written = published(store)
    assert store.applied_topic(written.release_id) == ""
    store.change(written.release_id, [withdrawal(1, 1)], progress={0: (0, 2)}, topic_id="first")
    assert store.applied_topic(written.release_id) == "first"
    with pytest.raises(ReleaseError, match="another topic, first"):
        store.change(written.release_id, [withdrawal(2, 2)], progress={0: (0, 3)}, topic_id="second")
    store.forget_changes(written.release_id)
    store.change(written.release_id, [withdrawal(2, 2)], progress={0: (0, 3)}, topic_id="second")
    assert store.applied_topic(written.release_id) == "second"


def test_a_failed_expiry_fails_no_switch(store: ReleaseStore, monkeypatch: pytest.MonkeyPatch) -> None:
    published(store, 1, keep=1)
    _, second = published(store, 2, keep=3)
    if isinstance(store, MemoryReleases):
        store.expiry_fails = True
    else:
        assert isinstance(store, RedisReleases)
        monkeypatch.setattr(store._switch, "_expire", away)
    _, third = published(store, 3, keep=2)
    assert store.current() == third.release_id
    assert store.roll_back(keep=1) == second.release_id == store.current()


def away(**_: object) -> None:
    raise redis.exceptions.ConnectionError("the server went away")


def test_the_history_names_the_rollbacks_target(store: ReleaseStore) -> None:
    (_, first), (_, second) = published(store, 1), published(store, 2)
    made = model(9)
    store.write(release(made, [offer(1)]), made)
    places = {info.release_id: info.place for info in store.releases()}
    assert (places[second.release_id], places[first.release_id], set(places.values())) == (0, 1, {0, 1, None})


def test_the_gates_figures_are_listed(store: ReleaseStore) -> None:
    facts: dict[str, object] = {
        "held_out_auc": {"within_customer": 0.7, "customers": 90},
        "popularity_auc": {"within_customer": 0.6},
    }
    made = replace(model(1), facts=facts)
    store.write(release(made, [offer(1)]), made)
    assert store.releases()[0].figures == GateFigures(0.7, 0.6, 90)
