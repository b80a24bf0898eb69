"""A damaged index or re-ranker, which a release may have beside towers and offers, replaces nothing that serves."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import redis
from structlog.testing import capture_logs

from stream_scorer.adapters.memory.lists import MemoryLists
from stream_scorer.adapters.redis.blobs import StoredIndex, StoredReranker
from stream_scorer.adapters.redis.client import RedisClient
from stream_scorer.adapters.redis.releases import RedisReleases
from stream_scorer.core.releases.offer_index import InvertedFile, ListSearch, Vectors32
from stream_scorer.core.releases.release import Release
from stream_scorer.core.towers.model import Model
from stream_scorer.errors import ReleaseError
from tests.release_samples import indexed_release, model, offer, published, release, reranked_model
from tests.reranking_samples import network
from tests.stored_damage import BYTES_MAX, Damage, Place, put, watching


@pytest.fixture
def store(connection: RedisClient, redis_prefix: str) -> RedisReleases:
    return RedisReleases(connection, prefix=redis_prefix, bytes_max=BYTES_MAX, open_index=MemoryLists)


def with_index() -> tuple[Release, Model]:
    made = model(1)
    return indexed_release(made, [offer(number) for number in range(9)]), made


def with_reranker() -> tuple[Release, Model]:
    made = reranked_model(2, network())
    return release(made, [offer(1)]), made


OF_AN_INDEX: dict[str, tuple[Damage, str]] = {
    "garbage": (put("index:1", b"garbage"), "part 1 of the index .* is not what its manifest says"),
    "parts changed over": (
        lambda place: place.client.rename(place.key("index:0"), place.key("index:1")),
        "part 0 of the index .* is gone",
    ),
    "other numbers of lists": (
        lambda place: place.reseal(index=StoredIndex(["0" * 64], 1, 0.99)),
        "part 0 of the index .* is not what its manifest says",
    ),
}


def call_it_trees(place: Place) -> None:
    stored = place.store._manifest(place.release.release_id).reranker
    assert isinstance(stored, StoredReranker)
    place.reseal(reranker=replace(stored, kind="trees"))


OF_A_RERANKER: dict[str, tuple[Damage, str]] = {
    "garbage": (put("reranker:0", b"garbage"), "the re-ranker of release .* is not what its manifest says"),
    "gone": (lambda place: place.client.delete(place.key("reranker:0")), "the re-ranker of release .* is gone"),
    "another kind": (call_it_trees, "is of kind network, its manifest says trees"),
}


CASES = [
    *((with_index, *case) for case in OF_AN_INDEX.values()),
    *((with_reranker, *case) for case in OF_A_RERANKER.values()),
]


@pytest.mark.parametrize("case", CASES, ids=[*OF_AN_INDEX, *OF_A_RERANKER])
def test_an_unreadable_part_replaces_nothing(
    store: RedisReleases,
    client: redis.Redis,
    redis_prefix: str,
    case: tuple[Callable[[], tuple[Release, Model]], Damage, str],
) -> None:
    made_with, damage, reason = case
    _, first = published(store, 3)
    watch = watching(store)
    second, made = made_with()
    store.write(second, made)
    damage(Place(store, client, redis_prefix, second))
    with pytest.raises(ReleaseError, match=reason):
        store.activate(second.release_id, keep=3)
    client.set(f"{redis_prefix}:current", second.release_id)
    watch.poll()
    serving = watch.current()
    assert serving is not None
    assert serving.release_id == first.release_id
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(watch.trouble())


def test_an_index_expires_with_its_release(store: RedisReleases, client: redis.Redis, redis_prefix: str) -> None:
    made = model(1)
    first = indexed_release(made, [offer(number) for number in range(9)])
    store.write(first, made)
    store.activate(first.release_id, keep=1)
    published(store, 2, keep=1)
    place = Place(store, client, redis_prefix, first)
    assert [client.ttl(place.key(f"index:{part}")) > 0 for part in (0, 1)] == [True, True]


def test_a_reranker_expires_with_its_release(store: RedisReleases, client: redis.Redis, redis_prefix: str) -> None:
    made = reranked_model(1, network())
    first = release(made, [offer(1)])
    store.write(first, made)
    store.activate(first.release_id, keep=1)
    published(store, 2, keep=1)
    assert client.ttl(Place(store, client, redis_prefix, first).key("reranker:0")) > 0


def no_faiss(file: InvertedFile, vectors: Vectors32) -> ListSearch:
    raise ModuleNotFoundError("No module named 'faiss'")


def test_without_faiss_an_index_is_left_out(connection: RedisClient, redis_prefix: str) -> None:
    made = model(1)
    written = indexed_release(made, [offer(number) for number in range(9)])
    store = RedisReleases(connection, prefix=redis_prefix)
    store.write(written, made)
    ranking = RedisReleases(connection, prefix=redis_prefix, open_index=no_faiss)
    with capture_logs() as logs:
        assert store.load(written.release_id).catalog.nearest is None
        assert logs == []  # who does not rank has no use for an index
        assert ranking.load(written.release_id).catalog.nearest is None
    assert [entry["event"] for entry in logs] == ["index_not_used"]
