"""Whatever lies in a release's place: rankers go on, new ones wait and say why, publishing again heals."""

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
import redis

from stream_scorer.adapters.redis.blobs import (
    MANIFEST_BYTES_MAX,
    as_array,
)
from stream_scorer.adapters.redis.changes import encode_change
from stream_scorer.adapters.redis.client import RedisClient
from stream_scorer.adapters.redis.keys import LISTED_BYTES_MAX
from stream_scorer.adapters.redis.releases import RedisReleases
from stream_scorer.core.messages import OfferId, ReleaseId
from stream_scorer.errors import ReleaseError
from tests.release_samples import (
    change,
    model,
    offer,
    published,
    withdrawal,
)
from tests.stored_damage import BYTES_MAX, Damage, Place, put, watching

DEEP = 100_000


@pytest.fixture
def store(connection: RedisClient, redis_prefix: str) -> RedisReleases:
    return RedisReleases(connection, prefix=redis_prefix, bytes_max=BYTES_MAX)


def reseal(**fields: Any) -> Damage:
    return lambda place: place.reseal(**fields)


def chunk(**tensors: Any) -> Damage:
    return lambda place: place.put_chunk(lambda stored: stored.update(tensors))


def wrong_kind(place: Place) -> None:
    place.client.delete(f"{place.prefix}:current")
    place.client.lpush(f"{place.prefix}:current", "x")


def deep_facts(place: Place) -> None:
    manifest = msgspec.json.encode(place.store._manifest(place.release.release_id))
    facts = b'"facts":{"x":' + b"[" * DEEP + b"]" * DEEP + b"}"
    before, _, after = manifest.partition(b'"facts":{"note":"made up","auc":0.7}')
    owner = f"the manifest of release {place.release.release_id}"
    place.put("manifest", place.store._seals.close(owner, before + facts + after))


def huge_manifest(place: Place) -> None:
    place.client.setrange(place.key("manifest"), MANIFEST_BYTES_MAX + 1, b"x")


def huge_chunk(place: Place) -> None:
    place.client.setrange(place.key("chunk:0"), BYTES_MAX, b"x")


def unsealed(place: Place) -> None:
    place.put("manifest", msgspec.json.encode(place.store._manifest(place.release.release_id)))


OF_A_RELEASE: dict[str, tuple[Damage, str]] = {
    "pointer not UTF-8": (lambda place: place.point(b"\xff\xfe"), "is no release id"),
    "pointer of any length": (lambda place: place.point(b"r" * 10_000_000), "is no release id"),
    "pointer with a line break": (lambda place: place.point(b"r-1\nr-2"), "is no release id"),
    "pointer of another kind": (wrong_kind, "redis refused"),
    "pointer to nothing": (lambda place: place.point(b"r-0"), "never written, or has expired"),
    "manifest is garbage": (put("manifest", b"garbage"), "cannot be read"),
    "manifest not UTF-8": (put("manifest", b'{"format":2,"x":"\xff"}'), "manifest"),
    "manifest is a list": (put("manifest", b"[]"), "cannot be read"),
    "manifest nested deep": (put("manifest", b"[" * DEEP), "cannot be read"),
    "manifest with deep facts": (deep_facts, "cannot be read"),
    "manifest of an older format": (put("manifest", b'{"format":1}'), "has format 1, this version reads 2"),
    "manifest without a seal": (unsealed, "has no seal"),
    "manifest too large": (huge_manifest, f"more than {MANIFEST_BYTES_MAX} bytes"),
    "offers without bound": (reseal(offers=10**12), "cannot have 1000000000000 offers"),
    "offers below zero": (reseal(offers=-1), "cannot have -1 offers"),
    "vectors without bound": (reseal(p=10**9), "numbers in 1 chunks"),
    "vectors longer than they are": (reseal(p=60_000), "too few"),
    "more offers than there are": (reseal(offers=6), "5 offers|too few|shape"),
    "no chunks": (reseal(chunks=[]), "in 0 chunks"),
    "a chunk that is not there": (lambda place: place.reseal(chunks=["0" * 64] * 2), "not what its manifest says"),
    "no user tower": (reseal(towers={"item_tower": ""}), "must name a user tower"),
    "chunk is garbage": (put("chunk:0", b"garbage"), "not what its manifest says"),
    "chunk too large": (huge_chunk, "more than redis.release_bytes_max"),
    "chunk with vectors too short": (chunk(vectors=np.zeros((5, 3), np.float32)), "expected float32 of shape"),
    "chunk with vectors of doubles": (chunk(vectors=np.zeros((5, 4), np.float64)), "expected float32"),
    "chunk with vectors not finite": (chunk(vectors=np.full((5, 4), np.nan, np.float32)), "must be L2-normalised"),
    "chunk with too few flags": (chunk(active=np.ones(4, np.uint8)), "expected uint8 of shape"),
    "chunk with flags of another kind": (chunk(active=np.ones(5, np.int64)), "expected uint8"),
    "chunk without a column": (lambda place: place.put_chunk(lambda stored: stored.pop("active")), "active"),
    "chunk without a head": (lambda place: place.put_chunk(lambda stored: stored.pop("json")), "json"),
    "chunk with a deep head": (chunk(json=as_array(b"[" * DEEP)), "cannot be read"),
    "chunk whose features are no JSON": (chunk(features=as_array(b"x" * 160)), "the ends of the features|malformed"),
    "chunk whose ends go back": (chunk(features_end=np.array([9, 8, 7, 6, 5])), "the ends of the features"),
    "chunk whose ends are huge": (chunk(features_end=np.full(5, 2**62)), "the ends of the features"),
    "tower is garbage": (lambda place: place.put_tower(b"garbage"), "cannot be read"),
    "tower without a structure": (lambda place: place.put_structure(b"{}"), "lacks 'layers'"),
    "tower nested deep": (
        lambda place: place.put_structure(b'{"given":[],"otherwise":' * 5_000 + b"{}" + b"}" * 5_000),
        "cannot be re",
    ),
    "tower that is a program": (lambda place: place.put_structure(b'{"program":{}}'), "nothing here runs programs"),
    "tower that claims any size": (
        lambda place: place.put_tower(b"\xff\xff\xff\xff\xff\xff\xff\x00" + b"{}"),
        "cannot be read",
    ),
}


@pytest.mark.parametrize("name", OF_A_RELEASE)
def test_an_unreadable_release_replaces_nothing(
    store: RedisReleases, client: redis.Redis, redis_prefix: str, name: str
) -> None:
    damage, reason = OF_A_RELEASE[name]
    _, first = published(store, 1)
    watch = watching(store)
    _, second = published(store, 2)
    damage(Place(store, client, redis_prefix, second))
    watch.poll()
    serving = watch.current()
    assert serving is not None
    assert serving.release_id == first.release_id
    fresh = watching(store)
    assert fresh.current() is None
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(watch.trouble())
    assert fresh.trouble() == watch.trouble()


def put_change(value: bytes) -> Damage:
    return lambda place: place.client.hset(place.key("changed"), "o:offer-1", value)


def resealed(**fields: Any) -> Damage:
    """Write a change with other fields, by its own seal."""

    def damage(place: Place) -> None:
        changed = replace(change(model(1), offer(1), 3), **fields)
        value = encode_change(place.release.release_id, changed, place.store._seals)
        place.client.hset(place.key("changed"), "o:offer-1", value)

    return damage


def negated(place: Place) -> None:
    changed = change(model(1), offer(1, features={"price": 9.0}), 3)
    value: Any = place.client.hget(place.key("changed"), "o:offer-1")
    turned = replace(changed, vector=(-np.frombuffer(changed.vector, np.float32)).tobytes())
    right, wrong = (msgspec.json.encode(each.vector) for each in (changed, turned))
    assert right in value
    place.client.hset(place.key("changed"), "o:offer-1", value.replace(right, wrong))


def moved(place: Place) -> None:
    value = encode_change(place.release.release_id, change(model(1), offer(2), 3), place.store._seals)
    place.client.hset(place.key("changed"), "o:offer-1", value)


def of_another_release(place: Place) -> None:
    value = encode_change(ReleaseId("r-other"), withdrawal(1, 3), place.store._seals)
    place.client.hset(place.key("changed"), "o:offer-1", value)


def bare_log(place: Place) -> None:
    place.client.delete(place.key("changes"))
    place.client.xadd(place.key("changes"), {"x": "y"}, id="1-0")
    place.client.hset(place.key("changed"), "o:offer-1", b"garbage")


OF_CHANGES: dict[str, tuple[Damage, str]] = {
    "a vector negated": (negated, "is not what was written"),
    "a change of another offer": (moved, "the place of another offer"),
    "a change of another release": (of_another_release, "is not what was written"),
    "a change without a seal": (put_change(b'{"offer_id":"offer-1"}'), "has no seal"),
    "garbage": (put_change(b"\xff"), "has no seal"),
    "nesting without end": (put_change(b"[" * DEEP), "has no seal"),
    "a vector too short": (resealed(vector=b"\0" * 12), "has not 4 numbers"),
    "a vector not finite": (resealed(vector=np.full(4, np.nan, np.float32).tobytes()), "must be L2-normalised"),
    "an id of another offer": (resealed(offer_id=OfferId("offer-2")), "the place of another offer"),
    "an epoch not UTF-8": (lambda place: place.client.hset(place.key("changed"), "epoch", b"\xff"), "cannot be read"),
    "a number that is none": (lambda place: place.client.hset(place.key("changed"), "seq", "x"), "cannot be read"),
    "a log without ids": (bare_log, "has no seal"),
    "changes without bound": (put_change(b"x" * BYTES_MAX), "bytes in Redis, at most 1000000 are read|1000000 bytes"),
    "an epoch without bound": (lambda place: place.client.hset(place.key("changed"), "epoch", b"x" * 1_001), "at most"),
}


@pytest.mark.parametrize("name", OF_CHANGES)
def test_unreadable_changes_leave_the_serving_offers(
    store: RedisReleases, client: redis.Redis, redis_prefix: str, name: str
) -> None:
    damage, reason = OF_CHANGES[name]
    made, written = published(store, 1)
    watch = watching(store)
    store.change(written.release_id, [change(made, offer(1, features={"price": 9.0}), 3)], progress={0: (0, 4)})
    damage(Place(store, client, redis_prefix, written))
    before = watch.current()
    watch.poll()
    assert watch.current() is before
    fresh = watching(store)
    assert fresh.current() is None
    for each in (watch, fresh):
        with pytest.raises(AssertionError, match=reason):
            raise AssertionError(each.trouble())
    published(store, 1)
    fresh.poll()
    watch.poll()
    assert (watch.trouble(), fresh.trouble()) == ("", "")
    assert store.progress(written.release_id) == {}


@pytest.mark.parametrize("field", ["progress", "progress_sha1"])
def test_altered_progress_is_refused(store: RedisReleases, client: redis.Redis, redis_prefix: str, field: str) -> None:
    _, written = published(store, 1)
    store.change(written.release_id, [withdrawal(1, 3)], progress={0: (0, 4)})
    client.hset(Place(store, client, redis_prefix, written).key("changed"), field, '{"0":9}')
    for call in (
        lambda: store.progress(written.release_id),
        lambda: store.change(written.release_id, [withdrawal(2, 10)], progress={0: (4, 11)}),
    ):
        with pytest.raises(ReleaseError, match="not what was written"):
            call()


@pytest.mark.parametrize(
    "damage",
    [
        lambda place: place.client.hset(place.key("changed"), "o:offer-1", "garbage"),
        lambda place: place.client.hset(place.key("changed"), "seq", "garbage"),
        lambda place: place.client.hset(place.key("changed"), "seq", 0),
        lambda place: place.client.set(place.key("changes"), "garbage"),
    ],
)
def test_a_change_replaces_an_unreadable_one(
    store: RedisReleases, client: redis.Redis, redis_prefix: str, damage: Damage
) -> None:
    made, written = published(store, 1)
    store.change(written.release_id, [change(made, offer(1), 3)], progress={})
    damage(Place(store, client, redis_prefix, written))
    assert store.change(written.release_id, [withdrawal(1, 9)], progress={0: (0, 10)}) == 1
    assert "offer-1" not in store.load(written.release_id).catalog.offer_ids


def test_an_unreadable_release_is_listed_as_such(store: RedisReleases, client: redis.Redis, redis_prefix: str) -> None:
    (_, first), (_, second) = published(store, 1), published(store, 2)
    Place(store, client, redis_prefix, second).put("manifest", b"garbage")
    client.sadd(f"{redis_prefix}:releases", b"\xff")
    listed = {info.release_id: info for info in store.releases()}
    assert listed[first.release_id].fault == ""
    assert "cannot be read" in listed[second.release_id].fault
    assert any("is no release id" in info.fault for info in listed.values())


@pytest.mark.parametrize("name", ["history", "releases"])
def test_lists_without_bound_are_not_read(
    store: RedisReleases, client: redis.Redis, redis_prefix: str, name: str
) -> None:
    published(store, 1)
    add = client.rpush if name == "history" else client.sadd
    add(f"{redis_prefix}:{name}", b"x" * LISTED_BYTES_MAX)
    for call in (store.releases, lambda: published(store, 2)):
        with pytest.raises(ReleaseError, match=f"bytes in Redis, at most {LISTED_BYTES_MAX} are read"):
            call()


@pytest.mark.parametrize("field", ["topic", "progress"])
def test_fields_without_bound_are_not_read(
    store: RedisReleases, client: redis.Redis, redis_prefix: str, field: str
) -> None:
    _, written = published(store, 1)
    client.hset(Place(store, client, redis_prefix, written).key("changed"), field, b"x" * (2**20 + 1))
    read = store.applied_topic if field == "topic" else store.progress
    with pytest.raises(ReleaseError, match="1048577 bytes, at most"):
        read(written.release_id)


def test_a_lost_pointer_is_reported(store: RedisReleases, client: redis.Redis, redis_prefix: str) -> None:
    published(store, 1)
    watch = watching(store)
    client.delete(f"{redis_prefix}:current")
    watch.poll()
    assert watch.current() is not None
    assert "a ranker that starts now would wait" in watch.trouble()
