"""Releases in Redis, and means to damage them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import redis
from safetensors.numpy import load

from stream_scorer.adapters.local.clock import HandClock
from stream_scorer.adapters.redis.blobs import as_array, checksum, encode_manifest, save_tensors
from stream_scorer.adapters.redis.releases import RedisReleases
from stream_scorer.core.releases.release import Release
from stream_scorer.services.streaming.release_watch import ReleaseWatch

BYTES_MAX = 1_000_000


@dataclass(frozen=True)
class Place:
    """Where a release lies, and means to damage it."""

    store: RedisReleases
    client: redis.Redis
    prefix: str
    release: Release

    def key(self, name: str) -> str:
        return f"{self.prefix}:release:{self.release.release_id}:{name}"

    def put(self, name: str, value: bytes) -> None:
        self.client.set(self.key(name), value)

    def reseal(self, **fields: Any) -> None:
        """Write the manifest with other fields, by its own seal."""
        manifest = self.store._manifest(self.release.release_id)
        self.put("manifest", encode_manifest(replace(manifest, **fields), self.store._seals))

    def put_chunk(self, edit: Callable[[dict[str, Any]], object]) -> None:
        """Write another chunk, which the manifest names."""
        value: Any = self.client.get(self.key("chunk:0"))
        tensors = load(value)
        edit(tensors)
        self.put("chunk:0", save_tensors(tensors))
        self.reseal(chunks=[checksum(save_tensors(tensors))])

    def put_tower(self, value: bytes) -> None:
        self.put("user_tower", value)
        manifest = self.store._manifest(self.release.release_id)
        self.reseal(towers={**manifest.towers, "user_tower": checksum(value)})

    def put_structure(self, structure: bytes) -> None:
        """Write another structure of the user tower."""
        value: Any = self.client.get(self.key("user_tower"))
        head = b'{"release_id":"%b","structure":%b}' % (self.release.release_id.encode(), structure)
        self.put_tower(save_tensors({**load(value), "json": as_array(head)}))

    def point(self, value: bytes) -> None:
        self.client.set(f"{self.prefix}:current", value)


Damage = Callable[[Place], object]


def watching(store: RedisReleases) -> ReleaseWatch:
    watch = ReleaseWatch(store, HandClock(), poll_s=0.2)
    watch.poll()
    return watch


def put(name: str, value: bytes) -> Damage:
    return lambda place: place.put(name, value)
