"""Where releases are stored in Redis: the names of the keys, the form of a release's id, and bounds on sizes.

Under the prefix:

    current                  the id of the release that serves
    history                  a list of the ids that were current, the newest first: what a rollback goes back to
    releases                 a set of the ids that are stored and do not expire
    release:{id}:manifest    sealed JSON; see blobs.ReleaseManifest
    release:{id}:user_tower  safetensors; so is item_tower
    release:{id}:chunk:{n}   safetensors of CHUNK_OFFERS offers
    release:{id}:index:{n}   safetensors of the index: the centroids, then list numbers of INDEX_PART_OFFERS offers
    release:{id}:reranker:{n}  safetensors of the re-ranker, cut into parts
    release:{id}:changed     a hash: the offers' latest changes, sealed, and how far the offers topic is applied;
                             see scripts.CHANGE
    release:{id}:changes     a stream of the ids of changed offers, which rankers follow
"""

import re
from dataclasses import dataclass

from msgspec import UnsetType

from stream_scorer.adapters.redis.blobs import TOWERS, ReleaseManifest
from stream_scorer.adapters.redis.client import RedisClient
from stream_scorer.core.messages import ReleaseId
from stream_scorer.errors import ReleaseError

LISTED_BYTES_MAX = 2**24  # of the history and of the set of stored ids: 100,000 ids take less
_ID_BYTES_MAX = 100
_ID = re.compile(rb"[A-Za-z0-9._-]{1,100}")


@dataclass(frozen=True, slots=True)
class ReleaseKeys:
    """The names of the keys under one prefix."""

    prefix: str

    @property
    def current(self) -> str:
        """The key of the pointer, which names the release that serves."""
        return f"{self.prefix}:current"

    @property
    def history(self) -> str:
        """The key of the ids that were current."""
        return f"{self.prefix}:history"

    @property
    def stored(self) -> str:
        """The key of the ids that do not expire."""
        return f"{self.prefix}:releases"

    @property
    def shared(self) -> list[str]:
        """The keys that all releases share, in the order in which the scripts take them."""
        return [self.current, self.history, self.stored]

    def of(self, release_id: ReleaseId, name: str) -> str:
        """Return the key of one part of a release."""
        return f"{self.prefix}:release:{release_id}:{name}"

    def chunks(self, manifest: ReleaseManifest) -> list[str]:
        """Return the keys of the catalog's chunks, in order."""
        return [self.of(manifest.release_id, f"chunk:{number}") for number in range(len(manifest.chunks))]

    def index(self, manifest: ReleaseManifest) -> list[str]:
        """Return the keys of the index's parts, in order; none where the release has no index."""
        parts = 0 if manifest.index is None else len(manifest.index.parts)
        return [self.of(manifest.release_id, f"index:{number}") for number in range(parts)]

    def reranker(self, manifest: ReleaseManifest) -> list[str]:
        """Return the keys of the re-ranker's parts, in order; none where the release has no re-ranker."""
        stored = manifest.reranker
        parts = 0 if isinstance(stored, UnsetType) else len(stored.parts)
        return [self.of(manifest.release_id, f"reranker:{number}") for number in range(parts)]

    def needed(self, manifest: ReleaseManifest) -> list[str]:
        """Return the keys without which the release is not whole."""
        parts = [self.of(manifest.release_id, name) for name in ("manifest", *TOWERS)]
        return [*parts, *self.chunks(manifest), *self.index(manifest), *self.reranker(manifest)]

    def optional(self, release_id: ReleaseId) -> list[str]:
        """Return the keys that are there once offers have changed: `changed` and `changes`."""
        return [self.of(release_id, "changed"), self.of(release_id, "changes")]


def read_pointer(client: RedisClient, keys: ReleaseKeys) -> ReleaseId | None:
    """Return the id of the release that serves, None before the first. Raises ReleaseError if that is no id."""
    named = pointed_at(client, keys)
    return checked_id(named, "the pointer to the current release") if named else None


def pointed_at(client: RedisClient, keys: ReleaseKeys) -> bytes:
    """Return what the pointer contains, but no more of it than is enough to see that it is no id."""
    # GETRANGE includes its end, so an id that is too long comes with a byte too many
    return client.getrange(keys.current, 0, _ID_BYTES_MAX)


def checked_id(name: bytes, what: str) -> ReleaseId:
    """Return a release's id. Raises ReleaseError, which names `what`, for bytes that are no id."""
    if not _ID.fullmatch(name):
        raise ReleaseError(f"{what} is no release id: {name[:_ID_BYTES_MAX]!r}")
    return ReleaseId(name.decode())


def check_bytes(client: RedisClient, key: str, bytes_max: int, what: str) -> None:
    """Raise ReleaseError for a list, set, hash or stream that takes more than `bytes_max` in Redis.

    This comes before it is read whole, so that an oversized value never fills the memory.
    """
    # samples=0 counts every element: an estimate by sampling could miss a single large element
    size = client.memory_usage(key, samples=0) or 0
    if size > bytes_max:
        raise ReleaseError(f"{what} takes {size} bytes in Redis, at most {bytes_max} are read")
