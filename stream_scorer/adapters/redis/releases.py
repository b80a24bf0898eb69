"""Releases in Redis or Valkey.

Keys, under the prefix:

current                  the id of the release that serves
history                  a list of ids that were current, the newest first: what a rollback goes back to
releases                 a set of the ids that are stored and do not expire
release:{id}:manifest    JSON; see release_blobs.Manifest
release:{id}:user_tower  safetensors; so is item_tower
release:{id}:chunk:{n}   safetensors of CHUNK_OFFERS offers
release:{id}:changed     a hash: offers' latest changes and how far the offers topic is applied; see redis_scripts.CHANGE
release:{id}:changes     a stream of the ids of changed offers, for rankers to follow
"""

import secrets
from collections.abc import Mapping, Sequence

from stream_scorer.adapters.redis.blobs import (
    FORMAT,
    Manifest,
    checked,
    checksum,
    decode_json,
    decode_manifest,
    decode_tower,
    encode_manifest,
    encode_tower,
)
from stream_scorer.adapters.redis.changes import decode_changes, encode_change, merge_changes
from stream_scorer.adapters.redis.chunks import decode_chunks, encode_chunks
from stream_scorer.adapters.redis.client import RedisClient, at_the_edge
from stream_scorer.adapters.redis.scripts import CHANGE, EXPIRE, FLIP
from stream_scorer.core.messages import ReleaseId
from stream_scorer.core.releases.catalog import Catalog
from stream_scorer.core.releases.change import OfferChange
from stream_scorer.core.releases.gate import verify
from stream_scorer.core.releases.release import Release, ReleaseInfo
from stream_scorer.core.towers.model import Model
from stream_scorer.core.towers.program_tower import OpenProgram
from stream_scorer.core.towers.tower import Tower
from stream_scorer.errors import ReleaseError

CHANGES_KEPT = 100_000
CHANGES_READ_MAX = 1_000
EXPIRY_S = 3_600  # a ranker that is reading an old release has so long to finish
_READ_KEYS = 16  # chunks per round trip, so that no reply grows without bound
_SCAN = 4_096
_NO_CHANGES = "0"


class RedisReleases:
    """See ReleaseStore. One client, made with bounded waits (redis_client.connect)."""

    def __init__(
        self,
        client: RedisClient,
        *,
        prefix: str,
        expiry_s: int = EXPIRY_S,
        changes_kept: int = CHANGES_KEPT,
        open_program: OpenProgram | None = None,
    ) -> None:
        self._client = client
        self._prefix = prefix
        self._expiry_s = expiry_s
        self._changes_kept = changes_kept
        self._open_program = open_program
        self._shared = [f"{prefix}:current", f"{prefix}:history", f"{prefix}:releases"]
        self._flip, self._expire, self._change = map(client.register_script, (FLIP, EXPIRE, CHANGE))

    @at_the_edge
    def current(self) -> ReleaseId | None:
        """See ReleaseStore."""
        named = self._client.get(self._shared[0])
        return ReleaseId(named.decode()) if named else None

    @at_the_edge
    def releases(self) -> list[ReleaseInfo]:
        """See ReleaseStore."""
        current = self.current()
        ids = [ReleaseId(name.decode()) for name in self._client.smembers(self._shared[2])]
        blobs = self._client.mget([self._key(one, "manifest") for one in ids]) if ids else []
        manifests = [decode_manifest(one, blob) for one, blob in zip(ids, blobs, strict=True) if blob is not None]
        infos = [_info(manifest, current=manifest.release_id == current) for manifest in manifests]
        return sorted(infos, key=lambda info: (info.created_ms, info.release_id), reverse=True)

    @at_the_edge
    def write(self, release: Release, model: Model) -> None:
        """See ReleaseStore. The manifest comes first, so that what was begun and not ended can be found, and expires."""
        release_id = release.release_id
        towers = {
            "user_tower": encode_tower(release_id, model.user_tower),
            "item_tower": encode_tower(release_id, model.item_tower),
        }
        manifest = Manifest(
            format=FORMAT,
            release_id=release_id,
            model_id=model.model_id,
            created_ms=release.created_ms,
            p=release.catalog.dim,
            offers=len(release.catalog),
            chunks=[checksum(blob) for blob in encode_chunks(release.catalog)],
            towers={name: checksum(blob) for name, blob in towers.items()},
            facts=model.facts,
            forced=list(release.forced),
        )
        self._client.sadd(self._shared[2], release_id)
        self._client.set(self._key(release_id, "manifest"), encode_manifest(manifest))
        for name, blob in towers.items():
            self._client.set(self._key(release_id, name), blob)
        for number, blob in enumerate(encode_chunks(release.catalog)):
            self._client.set(self._key(release_id, f"chunk:{number}"), blob)

    @at_the_edge
    def load(self, release_id: ReleaseId) -> Release:
        """See ReleaseStore. The mark is read before the changes: what comes between is applied twice, which is harmless."""
        manifest = self._manifest(release_id)
        catalog = self._catalog(manifest)
        user_tower = self._tower(manifest, "user_tower")
        mark = self._mark(release_id)
        if mark != _NO_CHANGES:
            catalog = merge_changes(manifest, catalog, self._changed(release_id))
        return Release(release_id, user_tower, catalog, manifest.created_ms, mark, tuple(manifest.forced))

    @at_the_edge
    def model(self, release_id: ReleaseId) -> Model:
        """See ReleaseStore."""
        manifest = self._manifest(release_id)
        return Model(
            manifest.model_id, self._tower(manifest, "user_tower"), self._tower(manifest, "item_tower"), manifest.facts
        )

    @at_the_edge
    def activate(self, release_id: ReleaseId, *, keep: int) -> None:
        """See ReleaseStore."""
        self._switch(release_id, keep=keep, expected="")

    @at_the_edge
    def roll_back(self, *, keep: int) -> ReleaseId:
        """See ReleaseStore."""
        history = [ReleaseId(name.decode()) for name in self._client.lrange(self._shared[1], 0, 1)]
        if len(history) < 2:
            raise ReleaseError("there is no earlier release to roll back to")
        self._switch(history[1], keep=keep, expected=history[0])
        return history[1]

    @at_the_edge
    def progress(self, release_id: ReleaseId) -> dict[int, int]:
        """See ReleaseStore."""
        progress = self._client.hget(self._key(release_id, "changed"), "progress")
        return decode_json(progress, dict[int, int], f"the progress of release {release_id}") if progress else {}

    @at_the_edge
    def applied_topic(self, release_id: ReleaseId) -> str:
        """See ReleaseStore."""
        topic = self._client.hget(self._key(release_id, "changed"), "topic")
        return topic.decode(errors="replace") if topic else ""

    @at_the_edge
    def change(
        self,
        release_id: ReleaseId,
        changes: Sequence[OfferChange],
        *,
        progress: Mapping[int, tuple[int, int]],
        topic_id: str = "",
    ) -> int:
        """See ReleaseStore."""
        stretches = [number for partition, (start, end) in progress.items() for number in (partition, start, end)]
        stated = [word for change in changes for word in (change.offer_id, *change.source, encode_change(change))]
        keys = [self._shared[0], *self._followed(release_id)]
        arguments = [release_id, secrets.token_hex(8), self._changes_kept, len(progress), topic_id, *stretches, *stated]
        word, what = self._change(keys=keys, args=arguments)
        if word == b"POINTER":
            raise ReleaseError(f"release {release_id} is not current: the pointer names {what.decode() or 'none'}")
        if word == b"BEHIND":
            raise ReleaseError(f"release {release_id} is behind: {what.decode()}")
        return int(what)

    @at_the_edge
    def forget_changes(self, release_id: ReleaseId) -> None:
        """See ReleaseStore."""
        self._client.delete(*self._followed(release_id))

    @at_the_edge
    def changes(self, release_id: ReleaseId, after: str) -> tuple[list[OfferChange], str]:
        """See ReleaseStore. The log holds ids, numbered without gaps; what is read of each offer is its latest change."""
        now = self._mark(release_id)
        if now == after:
            return [], after
        (epoch, start), (now_epoch, _) = _parts(after), _parts(now)
        entries = self._client.xrange(self._key(release_id, "changes"), min=f"({start}-0", count=CHANGES_READ_MAX)
        follows = bool(entries) and entries[0][0] == b"%d-0" % (start + 1)
        if (epoch not in ("", now_epoch)) or not follows:
            raise ReleaseError(f"release {release_id}: the changes behind {after} are gone")
        offer_ids = list(dict.fromkeys(fields[b"o"] for _, fields in entries))
        values = self._client.hmget(self._key(release_id, "changed"), [b"o:" + offer_id for offer_id in offer_ids])
        reached = int(entries[-1][0].split(b"-")[0])
        return decode_changes(release_id, values), f"{now_epoch}:{reached}"

    def _key(self, release_id: ReleaseId, name: str) -> str:
        return f"{self._prefix}:release:{release_id}:{name}"

    def _needed(self, manifest: Manifest) -> list[str]:
        chunks = [f"chunk:{number}" for number in range(len(manifest.chunks))]
        return [self._key(manifest.release_id, name) for name in ("manifest", *manifest.towers, *chunks)]

    def _followed(self, release_id: ReleaseId) -> list[str]:
        return [self._key(release_id, "changed"), self._key(release_id, "changes")]

    def _manifest(self, release_id: ReleaseId) -> Manifest:
        return decode_manifest(release_id, self._client.get(self._key(release_id, "manifest")))

    def _tower(self, manifest: Manifest, name: str) -> Tower:
        blob = self._client.get(self._key(manifest.release_id, name))
        whole = checked(blob, manifest.towers[name], f"the {name} of release {manifest.release_id}")
        return decode_tower(manifest.release_id, whole, self._open_program)

    def _catalog(self, manifest: Manifest) -> Catalog:
        """Read the offers as they were written, without the changes since."""
        keys = [self._key(manifest.release_id, f"chunk:{number}") for number in range(len(manifest.chunks))]
        blobs = (
            blob
            for start in range(0, len(keys), _READ_KEYS)
            for blob in self._client.mget(keys[start : start + _READ_KEYS])
        )
        return decode_chunks(manifest, blobs)

    def _mark(self, release_id: ReleaseId) -> str:
        epoch, seq = self._client.hmget(self._key(release_id, "changed"), ["epoch", "seq"])
        return f"{epoch.decode()}:{int(seq)}" if epoch and seq else _NO_CHANGES

    def _changed(self, release_id: ReleaseId) -> list[bytes | None]:
        fields = self._client.hscan_iter(self._key(release_id, "changed"), match="o:*", count=_SCAN)
        return [value for _, value in fields]

    def _switch(self, release_id: ReleaseId, *, keep: int, expected: str) -> None:
        """Verify, flip, and let go of what history no longer names; nothing has changed when it raises."""
        manifest = self._manifest(release_id)
        verify(self._catalog(manifest), self.model(release_id).item_tower)
        needed = self._needed(manifest)
        keys = [*self._shared, *needed, *self._followed(release_id)]
        word, what = self._flip(keys=keys, args=[release_id, len(needed), keep, expected, int(bool(expected))])
        if word == b"POINTER":
            raise ReleaseError(
                f"the pointer moved from {expected} to {what.decode() or 'none'} meanwhile; nothing was rolled back"
            )
        if word == b"ABSENT":
            raise ReleaseError(f"release {release_id} is not whole: {what.decode()} is gone")
        for old in what:
            self._let_expire(ReleaseId(old.decode()))

    def _let_expire(self, release_id: ReleaseId) -> None:
        manifest = self._client.get(self._key(release_id, "manifest"))
        keys = self._needed(decode_manifest(release_id, manifest)) if manifest else []
        self._expire(keys=[*self._shared, *keys, *self._followed(release_id)], args=[release_id, self._expiry_s])


def _parts(mark: str) -> tuple[str, int]:
    """Take a mark apart: the epoch of the log, and the number of its last entry read."""
    epoch, _, seq = mark.rpartition(":")
    return epoch, int(seq)


def _info(manifest: Manifest, *, current: bool) -> ReleaseInfo:
    return ReleaseInfo(
        manifest.release_id,
        manifest.model_id,
        manifest.offers,
        manifest.created_ms,
        current=current,
        forced=tuple(manifest.forced),
    )
