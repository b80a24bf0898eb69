"""Signed releases: a reader with the key takes what was signed with it, and nothing else."""

from collections.abc import Callable, Iterator

import pytest
import redis

from stream_scorer.adapters.local.clock import HandClock
from stream_scorer.adapters.redis.client import connect
from stream_scorer.adapters.redis.releases import RedisReleases
from stream_scorer.errors import ReleaseError
from stream_scorer.services.streaming.release_watch import ReleaseWatch
from tests.release_samples import change, model, offer, published, withdrawal

MINE, OTHER = b"a key of sixteen bytes or more", b"another key of sixteen or more"

Open = Callable[[bytes | None], RedisReleases]


@pytest.fixture
def opened(redis_url: str, redis_prefix: str) -> Iterator[Open]:
    client = connect(redis_url, timeout_s=10.0)
    yield lambda key: RedisReleases(client, prefix=redis_prefix, signing_key=key)
    client.close()


def test_signed_releases_are_read_by_key(opened: Open) -> None:
    made, written = published(opened(MINE))
    opened(MINE).change(written.release_id, [change(made, offer(9), 1)], progress={0: (0, 2)})
    assert len(opened(MINE).load(written.release_id).catalog) == 6
    assert [info.fault for info in opened(MINE).releases()] == [""]


@pytest.mark.parametrize(
    ("written_with", "read_with", "reason"),
    [
        (None, MINE, "is not signed, and redis.signing_key is set"),
        (OTHER, MINE, "is not what was written with redis.signing_key"),
        (MINE, None, "is signed: set redis.signing_key"),
    ],
)
def test_a_wrongly_signed_release_is_refused(
    opened: Open, written_with: bytes | None, read_with: bytes | None, reason: str
) -> None:
    _, written = published(opened(written_with))
    reader = opened(read_with)
    for call in (reader.load, reader.model, lambda release_id: reader.activate(release_id, keep=1)):
        with pytest.raises(ReleaseError, match=reason):
            call(written.release_id)
    assert reason in reader.releases()[0].fault


@pytest.mark.parametrize("key", [None, OTHER])
def test_a_wrongly_signed_change_never_serves(
    opened: Open, redis_url: str, redis_prefix: str, key: bytes | None
) -> None:
    _, written = published(opened(MINE))
    watch = ReleaseWatch(opened(MINE), HandClock(), poll_s=0.2)
    watch.poll()
    opened(key).change(written.release_id, [withdrawal(1, 3)], progress={})
    watch.poll()
    serving = watch.current()
    assert serving is not None
    assert len(serving.catalog) == 5
    assert "a change of release" in watch.trouble()


def test_a_pointer_to_unsigned_is_ignored(opened: Open, redis_url: str, redis_prefix: str) -> None:
    _, mine = published(opened(MINE), 1)
    watch = ReleaseWatch(opened(MINE), HandClock(), poll_s=0.2)
    watch.poll()
    published(opened(None), 2)
    watch.poll()
    serving = watch.current()
    assert serving is not None
    assert serving.release_id == mine.release_id
    assert "is not signed" in watch.trouble()


def test_a_signature_is_for_its_release(opened: Open, redis_url: str, redis_prefix: str) -> None:
    store = opened(MINE)
    (_, first), (_, second) = published(store, 1), published(store, 2)
    store.roll_back(keep=3)
    store.change(first.release_id, [change(model(1), offer(1), 3)], progress={})
    client = redis.Redis.from_url(redis_url)
    mine, others = (f"{redis_prefix}:release:{each.release_id}:changed" for each in (first, second))
    client.copy(mine, others)
    client.close()
    with pytest.raises(ReleaseError, match=r"is not what was written with redis\.signing_key"):
        store.load(second.release_id)
