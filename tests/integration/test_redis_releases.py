"""Releases on a real server: what is broken is refused, what is old expires, and a switch is whole or not at all."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
import redis

from stream_scorer.adapters.local.valkey import LocalValkey
from stream_scorer.adapters.redis.blobs import encode_manifest
from stream_scorer.adapters.redis.client import RedisClient, connect
from stream_scorer.adapters.redis.releases import RedisReleases
from stream_scorer.core.messages import ReleaseId
from stream_scorer.errors import ReleaseError, TransientError
from stream_scorer.ports import ReleaseStore
from tests.release_samples import change, model, offer, published, release, withdrawal

SLACK_S = 5.0  # machines are busy at times


@pytest.fixture
def store(connection: RedisClient, redis_prefix: str) -> RedisReleases:
    return RedisReleases(connection, prefix=redis_prefix, expiry_s=100, changes_kept=10)


@pytest.fixture
def own_valkey() -> Iterator[LocalValkey]:
    """A server that a test may stop and fill."""
    with LocalValkey() as server:
        yield server


def key(prefix: str, release_id: ReleaseId, name: str) -> str:
    return f"{prefix}:release:{release_id}:{name}"


def test_an_altered_chunk_is_refused_by_name(store: RedisReleases, client: redis.Redis, redis_prefix: str) -> None:
    _, written = published(store)
    client.setrange(key(redis_prefix, written.release_id, "chunk:0"), 1_000, b"\0\1\2")
    with pytest.raises(ReleaseError, match=f"chunk 0 of release {written.release_id} is not what its manifest says"):
        store.load(written.release_id)


@pytest.mark.parametrize("name", ["manifest", "user_tower", "chunk:1"])
def test_an_incomplete_release_is_refused(
    store: RedisReleases, client: redis.Redis, redis_prefix: str, name: str
) -> None:
    _, written = published(store, offers=5_000)
    client.delete(key(redis_prefix, written.release_id, name))
    with pytest.raises(ReleaseError, match=written.release_id):
        store.load(written.release_id)


@pytest.mark.parametrize("name", ["chunk:0", "user_tower", "item_tower", "manifest"])
def test_a_part_of_another_release_is_refused(
    store: RedisReleases, client: redis.Redis, redis_prefix: str, name: str
) -> None:
    (_, first), (_, second) = published(store, 1), published(store, 2)
    client.copy(key(redis_prefix, first.release_id, name), key(redis_prefix, second.release_id, name), replace=True)
    with pytest.raises(ReleaseError, match=second.release_id):
        store.activate(second.release_id, keep=3)


def test_another_releases_chunk_is_refused(store: RedisReleases, client: redis.Redis, redis_prefix: str) -> None:
    (_, first), (_, second) = published(store, 1), published(store, 2)
    left = store._manifest(first.release_id).chunks[0]
    manifest = store._manifest(second.release_id)
    lying = encode_manifest(replace(manifest, chunks=[left]), store._seals)
    client.set(key(redis_prefix, second.release_id, "manifest"), lying)
    client.copy(
        key(redis_prefix, first.release_id, "chunk:0"), key(redis_prefix, second.release_id, "chunk:0"), replace=True
    )
    with pytest.raises(ReleaseError, match=f"says that it is chunk 0 of release {first.release_id}"):
        store.load(second.release_id)


def test_only_old_releases_expire(store: RedisReleases, client: redis.Redis, redis_prefix: str) -> None:
    old, kept, now = [published(store, seed, keep=2)[1] for seed in (1, 2, 3)]
    store.change(now.release_id, [withdrawal(1, 1)], progress={})
    lifetimes = {
        one.release_id: {client.ttl(name) for name in client.scan_iter(key(redis_prefix, one.release_id, "*"))}
        for one in (old, kept, now)
    }
    assert lifetimes[kept.release_id] == lifetimes[now.release_id] == {-1}
    assert all(0 < seconds <= 100 for seconds in lifetimes[old.release_id])


def test_publishing_again_ends_an_expiry(store: RedisReleases, client: redis.Redis, redis_prefix: str) -> None:
    _, old = published(store, 1, keep=1)
    store.change(old.release_id, [withdrawal(1, 1)], progress={})
    published(store, 2, keep=1)
    published(store, 1, keep=1)
    assert {client.ttl(name) for name in client.scan_iter(key(redis_prefix, old.release_id, "*"))} == {-1}


def test_no_rollback_to_an_incomplete_release(store: RedisReleases, client: redis.Redis, redis_prefix: str) -> None:
    (_, first), (_, second) = published(store, 1), published(store, 2)
    client.delete(key(redis_prefix, first.release_id, "chunk:0"))
    with pytest.raises(ReleaseError, match=first.release_id):
        store.roll_back(keep=3)
    assert store.current() == second.release_id


def test_vectors_of_another_tower_never_serve(store: RedisReleases) -> None:
    mine, others = model(1), model(2)
    written = release(others, [offer(number) for number in range(5)])
    store.write(written, mine)
    with pytest.raises(ReleaseError, match="5 of 5 stored vectors are not what the item tower makes"):
        store.activate(written.release_id, keep=3)
    assert store.current() is None


def test_a_follower_far_behind_loads_again(store: RedisReleases) -> None:
    _, written = published(store)
    for number in range(500):  # the log is cut in whole nodes of 100 entries
        store.change(written.release_id, [withdrawal(number, number)], progress={})
    with pytest.raises(ReleaseError, match="gone"):
        store.changes(written.release_id, "0")
    loaded = store.load(written.release_id)
    assert len(loaded.catalog) == 0
    assert store.changes(written.release_id, loaded.mark) == ([], loaded.mark)


def test_another_kind_of_key_holds_no_release(store: RedisReleases, client: redis.Redis, redis_prefix: str) -> None:
    client.lpush(f"{redis_prefix}:current", "not ours")
    with pytest.raises(ReleaseError, match="redis refused"):
        store.current()


def test_prefixes_are_worlds_of_their_own(store: RedisReleases, redis_url: str) -> None:
    published(store)
    other = RedisReleases(connect(redis_url, timeout_s=20.0), prefix="another")
    assert other.current() is None
    assert other.releases() == []


def test_publishers_at_once_never_make_a_mixture(redis_url: str, redis_prefix: str) -> None:
    def publish(seed: int) -> ReleaseId:
        mine = RedisReleases(connect(redis_url, timeout_s=20.0), prefix=redis_prefix)
        for _ in range(5):
            _, written = published(mine, seed, offers=200 + seed)
        return written.release_id

    reader = RedisReleases(connect(redis_url, timeout_s=20.0), prefix=redis_prefix)
    with ThreadPoolExecutor(4) as pool:
        publishing = [pool.submit(publish, seed) for seed in (1, 2, 2, 3)]
        seen = set()
        while not all(one.done() for one in publishing):
            if (current := reader.current()) is not None:
                loaded = reader.load(current)
                seen.add((loaded.release_id, len(loaded.catalog)))
        sizes = {one.result(): 200 + seed for one, seed in zip(publishing, (1, 2, 2, 3), strict=True)}
    assert seen <= set(sizes.items())
    assert reader.current() in sizes
    assert {info.release_id for info in reader.releases()} <= set(sizes)


def every_call(store: ReleaseStore, release_id: ReleaseId) -> Iterator[Callable[[], object]]:
    """Yield calls in an order in which all succeed."""
    made = model(1)
    yield store.current
    yield store.releases
    yield lambda: store.load(release_id)
    yield lambda: store.model(release_id)
    yield lambda: store.progress(release_id)
    yield lambda: store.changes(release_id, "0")
    yield lambda: store.change(release_id, [change(made, offer(1), 1)], progress={})
    yield lambda: store.forget_changes(release_id)
    yield lambda: store.write(release(made, [offer(1)]), made)
    yield lambda: store.activate(release_id, keep=3)
    yield lambda: store.roll_back(keep=3)


def fails_after_s(call: Callable[[], object]) -> float:
    started_s = time.monotonic()
    with pytest.raises(TransientError):
        call()
    return time.monotonic() - started_s


def test_calls_to_frozen_servers_end_soon(own_valkey: LocalValkey) -> None:
    store = RedisReleases(connect(own_valkey.url, timeout_s=2.0), prefix="x")
    published(store, 2)
    _, written = published(store, 1)
    calls = list(every_call(store, written.release_id))
    own_valkey.pause()
    with ThreadPoolExecutor(len(calls)) as pool:
        took_s = list(pool.map(fails_after_s, calls))
    own_valkey.unpause()
    assert max(took_s) < 2.0 + SLACK_S
    assert store.current() == written.release_id
    for call in calls:
        call()


def test_an_empty_server_gets_scripts_again(own_valkey: LocalValkey) -> None:
    store = RedisReleases(connect(own_valkey.url, timeout_s=5.0), prefix="x")
    published(store)
    own_valkey.halt()
    with pytest.raises(TransientError):
        store.current()
    own_valkey.resume()
    _, written = published(store)
    assert store.current() == written.release_id


def test_a_full_server_is_passing_trouble(own_valkey: LocalValkey) -> None:
    store = RedisReleases(connect(own_valkey.url, timeout_s=10.0), prefix="x")
    _, written = published(store)
    server = redis.Redis.from_url(own_valkey.url)
    server.config_set("maxmemory", server.info("memory")["used_memory"] + 200_000)
    server.close()
    with pytest.raises(TransientError, match="memory"):
        published(store, 2, offers=50_000)
    assert store.current() == written.release_id
    assert len(store.load(written.release_id).catalog) == 5


def test_the_pointer_settles_an_unanswered_flip(store: RedisReleases, monkeypatch: pytest.MonkeyPatch) -> None:
    _, first = published(store, 1)
    published(store, 2)
    flip = store._switch._flip

    def lost(**words: Any) -> None:
        flip(**words)
        raise redis.exceptions.TimeoutError("timeout reading from socket")

    monkeypatch.setattr(store._switch, "_flip", lost)
    assert store.roll_back(keep=3) == first.release_id == store.current()


def test_a_failed_flip_states_the_pointer(store: RedisReleases, monkeypatch: pytest.MonkeyPatch) -> None:
    published(store, 1)
    _, second = published(store, 2)
    monkeypatch.setattr(store._switch, "_flip", away)
    with pytest.raises(TransientError, match=f"the pointer still names {second.release_id}"):
        store.roll_back(keep=3)


def test_an_unknown_flip_is_called_unknown(store: RedisReleases, monkeypatch: pytest.MonkeyPatch) -> None:
    published(store, 1)
    published(store, 2)
    monkeypatch.setattr(store._client, "getrange", away)
    with pytest.raises(TransientError, match="it is not known whether the pointer has moved"):
        store._switch._settle(ReleaseId("r-1"), redis.exceptions.TimeoutError("timeout"))


def away(*_: object, **__: object) -> None:
    raise redis.exceptions.ConnectionError("the server went away")


@pytest.mark.parametrize("kind", ["history", "releases"])
def test_another_kind_of_key_moves_no_pointer(
    store: RedisReleases, client: redis.Redis, redis_prefix: str, kind: str
) -> None:
    _, first = published(store, 1)
    client.set(f"{redis_prefix}:{kind}", "not ours")
    with pytest.raises(ReleaseError):
        published(store, 2)
    assert store.current() == first.release_id
