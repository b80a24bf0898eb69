"""Releases in Redis or Valkey.

Keys, under the prefix:

current                  the id of the release that serves history                  a list of ids that were current, the
newest first: what a rollback goes back to releases                 a set of the ids that are stored and do not expire
release:{id}:manifest    sealed JSON; see blobs.ReleaseManifest release:{id}:user_tower  safetensors; so is item_tower
release:{id}:chunk:{n}   safetensors of CHUNK_OFFERS offers release:{id}:changed     a hash: offers' latest changes,
sealed, and how far the offers topic is applied; see scripts.CHANGE release:{id}:changes     a stream of the ids of
changed offers, for rankers to follow

All of it is foreign when it is read: whatever the bytes are, a read gives what was written or raises ReleaseError.
"""

import hashlib
import re
import secrets
from collections.abc import Mapping, Sequence

import structlog
from redis.exceptions import RedisError

from stream_scorer.adapters.redis.blobs import (
    FORMAT,
    MANIFEST_BYTES_MAX,
    ReleaseManifest,
    check_sizes,
    checked,
    checksum,
    decode_json,
    decode_manifest,
    decode_tower,
    encode_manifest,
    encode_tower,
    reading,
)
from stream_scorer.adapters.redis.changes import decode_changes, encode_change, merge_changes
from stream_scorer.adapters.redis.chunks import decode_chunks, encode_chunks
from stream_scorer.adapters.redis.client import TRANSIENT, RedisClient, at_the_edge
from stream_scorer.adapters.redis.scripts import CHANGE, EXPIRE, FLIP, SIZES
from stream_scorer.adapters.redis.seals import Seals
from stream_scorer.core.messages import ReleaseId
from stream_scorer.core.releases.catalog import Catalog
from stream_scorer.core.releases.change import OfferChange
from stream_scorer.core.releases.gate import verify
from stream_scorer.core.releases.release import Release, ReleaseInfo, figures_of
from stream_scorer.core.towers.model import Model
from stream_scorer.core.towers.program_tower import OpenProgram
from stream_scorer.core.towers.tower import Tower
from stream_scorer.errors import ReleaseError, TransientError

CHANGES_KEPT = 100_000
CHANGES_READ_MAX = 1_000
BYTES_MAX = 2**32
EXPIRY_S = 3_600  # a ranker that is reading an old release has so long to finish
_READ_KEYS = 16  # chunks per round trip, so that no reply grows without bound
_SCAN = 4_096
_NO_CHANGES = "0"
_TOWERS = ("user_tower", "item_tower")
_ID_BYTES_MAX = 100
_ID = re.compile(rb"[A-Za-z0-9._-]{1,100}")

_log = structlog.get_logger(__name__)


class RedisReleases:
    """See ReleaseStore. One client, made with bounded waits (redis_client.connect)."""

    def __init__(
        self,
        client: RedisClient,
        *,
        prefix: str,
        expiry_s: int = EXPIRY_S,
        changes_kept: int = CHANGES_KEPT,
        bytes_max: int = BYTES_MAX,
        signing_key: bytes | None = None,
        open_program: OpenProgram | None = None,
    ) -> None:
        self._client = client
        self._prefix = prefix
        self._expiry_s = expiry_s
        self._changes_kept = changes_kept
        self._bytes_max = bytes_max
        self._seals = Seals(signing_key)
        self._open_program = open_program
        self._shared = [f"{prefix}:current", f"{prefix}:history", f"{prefix}:releases"]
        scripts = map(client.register_script, (FLIP, EXPIRE, CHANGE, SIZES))
        self._flip, self._expire, self._change, self._sizes = scripts

    @at_the_edge
    def current(self) -> ReleaseId | None:
        """See ReleaseStore."""
        named = self._client.getrange(self._shared[0], 0, _ID_BYTES_MAX)
        return _id(named, "the pointer to the current release") if named else None

    @at_the_edge
    def releases(self) -> list[ReleaseInfo]:
        """See ReleaseStore."""
        pointer = self._client.getrange(self._shared[0], 0, _ID_BYTES_MAX)
        history = self._client.lrange(self._shared[1], 0, -1)
        infos = [self._info(name, pointer, history) for name in self._client.smembers(self._shared[2])]
        known = [info for info in infos if info is not None]
        return sorted(known, key=lambda info: (info.created_ms, info.release_id), reverse=True)

    def _info(self, name: bytes, pointer: bytes, history: Sequence[bytes]) -> ReleaseInfo | None:
        """Describe a stored release, also one that cannot be read; None for one that has expired."""
        release_id = ReleaseId(name.decode(errors="replace"))
        place = history.index(name) if name in history else None
        try:
            release_id = _id(name, "the id of a stored release")
            blob = self._value(release_id, "manifest", MANIFEST_BYTES_MAX)
            if blob is None:
                return None
            manifest = decode_manifest(release_id, blob, self._seals)
        except ReleaseError as error:
            return ReleaseInfo(release_id, "", 0, 0, current=name == pointer, place=place, fault=str(error))
        return ReleaseInfo(
            release_id,
            manifest.model_id,
            manifest.offers,
            manifest.created_ms,
            current=name == pointer,
            forced=tuple(manifest.forced),
            place=place,
            figures=figures_of(manifest.facts),
        )

    @at_the_edge
    def write(self, release: Release, model: Model) -> None:
        """See ReleaseStore. The manifest comes first, so that what was begun and not ended can be found, and expires.

        Of the same release written again, changes that cannot be read are let go: refresh reads the topic again.
        """
        release_id = release.release_id
        towers = {
            "user_tower": encode_tower(release_id, model.user_tower),
            "item_tower": encode_tower(release_id, model.item_tower),
        }
        manifest = ReleaseManifest(
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
        self._client.set(self._key(release_id, "manifest"), encode_manifest(manifest, self._seals))
        for name, blob in towers.items():
            self._client.set(self._key(release_id, name), blob)
        for number, blob in enumerate(encode_chunks(release.catalog)):
            self._client.set(self._key(release_id, f"chunk:{number}"), blob)
        self._drop_unreadable(manifest, release.catalog)

    def _drop_unreadable(self, manifest: ReleaseManifest, catalog: Catalog) -> None:
        release_id = manifest.release_id
        try:
            if self._mark(release_id) != _NO_CHANGES:
                merge_changes(manifest, catalog, self._changed(release_id), self._seals)
            self.progress(release_id)
        except ReleaseError as error:
            _log.warning("the changes of a release are let go", release_id=release_id, reason=str(error))
            self.forget_changes(release_id)

    @at_the_edge
    def load(self, release_id: ReleaseId) -> Release:
        """See ReleaseStore.

        The mark is read before the changes: what comes between is applied twice, which is harmless.
        """
        manifest = self._manifest(release_id)
        catalog = self._catalog(manifest)
        user_tower = self._tower(manifest, "user_tower")
        mark = self._mark(release_id)
        if mark != _NO_CHANGES:
            catalog = merge_changes(manifest, catalog, self._changed(release_id), self._seals)
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
        history = [_id(name, "the history of releases") for name in self._client.lrange(self._shared[1], 0, 1)]
        if len(history) < 2:
            raise ReleaseError("there is no earlier release to roll back to")
        self._switch(history[1], keep=keep, expected=history[0])
        return history[1]

    @at_the_edge
    def progress(self, release_id: ReleaseId) -> dict[int, int]:
        """See ReleaseStore."""
        key, what = self._key(release_id, "changed"), f"the progress of release {release_id}"
        progress, digest = self._client.hmget(key, ["progress", "progress_sha1"])
        if progress is None or progress == b"{}":
            return {}
        if digest != hashlib.sha1(release_id.encode() + progress, usedforsecurity=False).hexdigest().encode():
            raise ReleaseError(f"{what} is not what was written")
        return decode_json(progress, dict[int, int], what)

    @at_the_edge
    def applied_topic(self, release_id: ReleaseId) -> str:
        """See ReleaseStore."""
        (topic,) = self._client.hmget(self._key(release_id, "changed"), ["topic"])
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
        stated = [
            word
            for change in changes
            for word in (change.offer_id, *change.source, encode_change(release_id, change, self._seals))
        ]
        keys = [self._shared[0], *self._followed(release_id)]
        arguments = [release_id, secrets.token_hex(8), self._changes_kept, len(progress), topic_id, *stretches, *stated]
        word, what = self._change(keys=keys, args=arguments)
        if word == b"POINTER":
            raise ReleaseError(
                f"release {release_id} is not current: the pointer names {what.decode(errors='replace') or 'none'}"
            )
        if word == b"BEHIND":
            raise ReleaseError(f"release {release_id} is behind: {what.decode(errors='replace')}")
        return int(what)

    @at_the_edge
    def forget_changes(self, release_id: ReleaseId) -> None:
        """See ReleaseStore."""
        self._client.delete(*self._followed(release_id))

    @at_the_edge
    def changes(self, release_id: ReleaseId, after: str) -> tuple[list[OfferChange], str]:
        """See ReleaseStore.

        The log holds ids, numbered without gaps; what is read of each offer is its latest change.
        """
        now = self._mark(release_id)
        if now == after:
            return [], after
        (epoch, start), (now_epoch, _) = _parts(after), _parts(now)
        entries = self._client.xrange(self._key(release_id, "changes"), min=f"({start}-0", count=CHANGES_READ_MAX)
        follows = bool(entries) and entries[0][0] == b"%d-0" % (start + 1)
        if (epoch not in ("", now_epoch)) or not follows:
            raise ReleaseError(f"release {release_id}: the changes behind {after} are gone")
        with reading(f"the log of changes of release {release_id}"):
            offer_ids = list(dict.fromkeys(fields[b"o"] for _, fields in entries))
            reached = int(entries[-1][0].split(b"-")[0])
        values = self._client.hmget(self._key(release_id, "changed"), [b"o:" + offer_id for offer_id in offer_ids])
        sealed = dict(zip(offer_ids, values, strict=True))
        return decode_changes(release_id, sealed, self._seals), f"{now_epoch}:{reached}"

    def _key(self, release_id: ReleaseId, name: str) -> str:
        return f"{self._prefix}:release:{release_id}:{name}"

    def _needed(self, manifest: ReleaseManifest) -> list[str]:
        chunks = [f"chunk:{number}" for number in range(len(manifest.chunks))]
        return [self._key(manifest.release_id, name) for name in ("manifest", *_TOWERS, *chunks)]

    def _followed(self, release_id: ReleaseId) -> list[str]:
        return [self._key(release_id, "changed"), self._key(release_id, "changes")]

    def _value(self, release_id: ReleaseId, name: str, bytes_max: int) -> bytes | None:
        """Read a value, no more of it than shows that it is too large; None where it is absent or empty."""
        return self._client.getrange(self._key(release_id, name), 0, bytes_max) or None

    def _manifest(self, release_id: ReleaseId) -> ReleaseManifest:
        """Read a manifest, and see that the values which it names can be what it says before they are read."""
        manifest = decode_manifest(release_id, self._value(release_id, "manifest", MANIFEST_BYTES_MAX), self._seals)
        check_sizes(manifest, self._sizes(keys=self._needed(manifest), args=[]), self._bytes_max)
        return manifest

    def _tower(self, manifest: ReleaseManifest, name: str) -> Tower:
        blob = self._client.get(self._key(manifest.release_id, name))
        whole = checked(blob, manifest.towers[name], f"the {name} of release {manifest.release_id}")
        return decode_tower(manifest.release_id, whole, self._open_program)

    def _catalog(self, manifest: ReleaseManifest) -> Catalog:
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
        with reading(f"the log of changes of release {release_id}"):
            return f"{epoch.decode()}:{int(seq)}" if epoch and seq and seq != b"0" else _NO_CHANGES

    def _changed(self, release_id: ReleaseId) -> dict[bytes, bytes | None]:
        """Read the latest change of each offer that has any; a scan may return one twice."""
        changed: dict[bytes, bytes | None] = {}
        size = 0
        for field, value in self._client.hscan_iter(self._key(release_id, "changed"), match="o:*", count=_SCAN):
            size += len(value)
            if size > self._bytes_max:
                raise ReleaseError(f"the changes of release {release_id} have more than {self._bytes_max} bytes")
            changed[field.removeprefix(b"o:")] = value
        return changed

    def _switch(self, release_id: ReleaseId, *, keep: int, expected: str) -> None:
        """Verify, flip, and let go of what history no longer names; the pointer has not moved when it raises."""
        manifest = self._manifest(release_id)
        verify(self._catalog(manifest), self.model(release_id).item_tower)
        needed = self._needed(manifest)
        keys = [*self._shared, *needed, *self._followed(release_id)]
        try:
            word, what = self._flip(keys=keys, args=[release_id, len(needed), keep, expected, int(bool(expected))])
        except TRANSIENT as error:
            return self._settle(release_id, error)
        if word == b"POINTER":
            now = what.decode(errors="replace") or "none"
            raise ReleaseError(f"the pointer moved from {expected} to {now} meanwhile; nothing was rolled back")
        if word == b"ABSENT":
            raise ReleaseError(f"release {release_id} is not whole: {what.decode(errors='replace')} is gone")
        for old in what:
            self._let_expire(old)
        return None

    def _settle(self, release_id: ReleaseId, error: Exception) -> None:
        """See by the pointer whether a flip without an answer has happened: then all is well."""
        try:
            named = self.current()
        except (TransientError, ReleaseError):
            reason = "it is not known whether the pointer has moved: see `stream-scorer releases` before trying again"
            raise TransientError(f"redis: {error}; {reason}") from error
        if named != release_id:
            raise TransientError(f"redis: {error}; the pointer still names {named or 'none'}") from error

    def _let_expire(self, name: bytes) -> None:
        """Let a release that history no longer names expire.

        The pointer has moved: what goes wrong now is logged, not raised.
        """
        try:
            release_id = _id(name, "the id of a stored release")
            blob = self._value(release_id, "manifest", MANIFEST_BYTES_MAX)
            keys = self._needed(decode_manifest(release_id, blob, self._seals)) if blob else []
            self._expire(keys=[*self._shared, *keys, *self._followed(release_id)], args=[release_id, self._expiry_s])
        except (RedisError, ReleaseError) as error:
            _log.warning("an old release does not expire", release_id=name.decode(errors="replace"), reason=str(error))


def _id(name: bytes, what: str) -> ReleaseId:
    """Return a release's id. Raises ReleaseError for bytes that are none."""
    if not _ID.fullmatch(name):
        raise ReleaseError(f"{what} is no release id: {name[:_ID_BYTES_MAX]!r}")
    return ReleaseId(name.decode())


def _parts(mark: str) -> tuple[str, int]:
    """Take a mark apart: the epoch of the log, and the number of its last entry read."""
    epoch, _, seq = mark.rpartition(":")
    return epoch, int(seq)
