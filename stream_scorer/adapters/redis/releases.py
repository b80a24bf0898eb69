"""The store of releases in Redis or Valkey; keys.py says what is stored where.

Anybody may have altered what it reads: whatever the bytes are, a read returns what was written or raises ReleaseError.
"""

from collections.abc import Iterator, Mapping, Sequence

import structlog
from msgspec import UNSET, UnsetType

from stream_scorer.adapters.redis.blobs import (
    FORMAT,
    FORMAT_RERANKED,
    MANIFEST_BYTES_MAX,
    TOWERS,
    ReleaseManifest,
    StoredIndex,
    StoredReranker,
    check_sizes,
    checked,
    checksum,
    decode_manifest,
    decode_reranker,
    decode_tower,
    encode_manifest,
    encode_reranker,
    encode_tower,
    reading,
)
from stream_scorer.adapters.redis.change_log import NO_CHANGES, ChangeLog
from stream_scorer.adapters.redis.changes import merge_changes
from stream_scorer.adapters.redis.chunks import decode_chunks, decode_index, encode_chunks, encode_index
from stream_scorer.adapters.redis.client import RedisClient, at_the_edge
from stream_scorer.adapters.redis.keys import (
    LISTED_BYTES_MAX,
    ReleaseKeys,
    check_bytes,
    checked_id,
    pointed_at,
    read_pointer,
)
from stream_scorer.adapters.redis.scripts import SIZES
from stream_scorer.adapters.redis.seals import Seals
from stream_scorer.adapters.redis.switch import ReleaseSwitch
from stream_scorer.core.messages import ReleaseId
from stream_scorer.core.releases.catalog import Catalog, ShareCatalog
from stream_scorer.core.releases.change import OfferChange
from stream_scorer.core.releases.gate import verify
from stream_scorer.core.releases.offer_index import InvertedFile, OfferIndex, OpenIndex
from stream_scorer.core.releases.release import Release, ReleaseInfo, figures_of, reading_features
from stream_scorer.core.towers.model import Model
from stream_scorer.core.towers.program_tower import OpenProgram
from stream_scorer.core.towers.reranker import Reranker
from stream_scorer.core.towers.tower import Tower
from stream_scorer.errors import ClosedProgram, ReleaseError

CHANGES_KEPT = 100_000
BYTES_MAX = 2**32
EXPIRY_S = 3_600  # how long a ranker that is reading an old release has to finish
_READ_KEYS = 16  # chunks per round trip, so that no reply grows without bound

_log = structlog.get_logger(__name__)


class RedisReleases:
    """See ReleaseStore. The waits of `client` must be bounded, as those of client.connect are."""

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
        open_index: OpenIndex | None = None,
        share: ShareCatalog | None = None,
    ) -> None:
        """Without `open_index`, or where it cannot be imported, releases are loaded without their indexes.

        Without `share`, every release that is loaded has memory of its own.
        """
        self._client = client
        self._keys = ReleaseKeys(prefix)
        self._bytes_max = bytes_max
        self._seals = Seals(signing_key)
        self._open_program, self._open_index = open_program, open_index
        self._share = share
        self._sizes = client.register_script(SIZES)
        self._log = ChangeLog(client, self._keys, self._seals, kept=changes_kept, bytes_max=bytes_max)
        self._switch = ReleaseSwitch(client, self._keys, expiry_s=expiry_s, verified=self._verified, named=self._named)

    @at_the_edge
    def current(self) -> ReleaseId | None:
        """See ReleaseStore."""
        return read_pointer(self._client, self._keys)

    @at_the_edge
    def releases(self) -> list[ReleaseInfo]:
        """See ReleaseStore."""
        # not read_pointer, so that a damaged pointer cannot hide the list of releases
        pointer = pointed_at(self._client, self._keys)
        check_bytes(self._client, self._keys.history, LISTED_BYTES_MAX, "the history of releases")
        check_bytes(self._client, self._keys.stored, LISTED_BYTES_MAX, "the set of releases")
        history = self._client.lrange(self._keys.history, 0, -1)
        infos = [self._info(name, pointer, history) for name in self._client.smembers(self._keys.stored)]
        known = [info for info in infos if info is not None]
        return sorted(known, key=lambda info: (info.created_ms, info.release_id), reverse=True)

    def _info(self, name: bytes, pointer: bytes, history: Sequence[bytes]) -> ReleaseInfo | None:
        """Return what is known of a stored release, even if it cannot be read; None for a release that has expired."""
        release_id = ReleaseId(name.decode(errors="replace"))
        place = history.index(name) if name in history else None
        try:
            manifest = self._stored_manifest(checked_id(name, "the id of a stored release"))
        except ReleaseError as error:
            return ReleaseInfo(release_id, "", 0, 0, current=name == pointer, place=place, fault=str(error))
        if manifest is None:
            return None
        return ReleaseInfo(
            release_id,
            manifest.model_id,
            manifest.offers,
            manifest.created_ms,
            current=name == pointer,
            forced=tuple(manifest.forced),
            place=place,
            figures=figures_of(manifest.facts),
            reranker="" if isinstance(manifest.reranker, UnsetType) else manifest.reranker.kind,
            index_recall=None if manifest.index is None else manifest.index.recall,
        )

    @at_the_edge
    def write(self, release: Release, model: Model) -> None:
        """See ReleaseStore. The manifest is written first, so that an unfinished release is listed, and expires.

        When a release is written again, changes that cannot be read are dropped: refresh then reads the topic again.
        """
        release_id = release.release_id
        towers = {
            "user_tower": encode_tower(release_id, model.user_tower),
            "item_tower": encode_tower(release_id, model.item_tower),
        }
        reranker = [] if model.reranker is None else encode_reranker(release_id, model.reranker)
        manifest = ReleaseManifest(
            format=FORMAT if model.reranker is None else FORMAT_RERANKED,
            release_id=release_id,
            model_id=model.model_id,
            created_ms=release.created_ms,
            p=release.catalog.dim,
            offers=len(release.catalog),
            chunks=[checksum(blob) for blob in encode_chunks(release.catalog)],
            towers={name: checksum(blob) for name, blob in towers.items()},
            facts=model.facts,
            forced=list(release.forced),
            index=_stored_index(release),
            reranker=_stored_reranker(model, reranker),
        )
        self._client.sadd(self._keys.stored, release_id)
        self._client.set(self._keys.of(release_id, "manifest"), encode_manifest(manifest, self._seals))
        for name, blob in towers.items():
            self._client.set(self._keys.of(release_id, name), blob)
        # chunks are encoded a second time rather than kept: all at once would double the memory of a publish
        for key, blob in zip(self._keys.chunks(manifest), encode_chunks(release.catalog), strict=True):
            self._client.set(key, blob)
        for key, blob in zip(self._keys.index(manifest), _index_parts(release), strict=True):
            self._client.set(key, blob)
        for key, blob in zip(self._keys.reranker(manifest), reranker, strict=True):
            self._client.set(key, blob)
        self._drop_unreadable(manifest, release.catalog)

    def _drop_unreadable(self, manifest: ReleaseManifest, catalog: Catalog) -> None:
        release_id = manifest.release_id
        try:
            self._changed_since(manifest, catalog)
            self._log.progress(release_id)
        except ReleaseError as error:
            _log.warning("the changes of a release are let go", release_id=release_id, reason=str(error))
            self._log.forget(release_id)

    @at_the_edge
    def load(self, release_id: ReleaseId) -> Release:
        """See ReleaseStore."""
        manifest = self._manifest(release_id)
        catalog, mark = self._changed_since(manifest, self._indexed(manifest, self._published(manifest)))
        user_tower = self._tower(manifest, "user_tower")
        reranker = self._reranker(manifest)
        item_tower, missing = self._item_tower(manifest)
        forced = tuple(manifest.forced)
        return Release(
            release_id, user_tower, catalog, manifest.created_ms, mark, forced, reranker, item_tower, missing
        )

    def _changed_since(self, manifest: ReleaseManifest, catalog: Catalog) -> tuple[Catalog, str]:
        """Return the catalog with all changes so far, and the mark from which to follow the log.

        The mark is read before the changes. A change that comes between the two is then applied twice, which is
        harmless; in the other order, it would be missed.
        """
        mark = self._log.mark(manifest.release_id)
        if mark == NO_CHANGES:
            return catalog, mark
        return merge_changes(manifest, catalog, self._log.latest(manifest.release_id), self._seals), mark

    @at_the_edge
    def model(self, release_id: ReleaseId) -> Model:
        """See ReleaseStore."""
        manifest = self._manifest(release_id)
        return Model(
            manifest.model_id,
            self._tower(manifest, "user_tower"),
            self._tower(manifest, "item_tower"),
            manifest.facts,
            self._reranker(manifest),
        )

    @at_the_edge
    def activate(self, release_id: ReleaseId, *, keep: int) -> None:
        """See ReleaseStore."""
        self._switch.to(release_id, keep=keep)

    @at_the_edge
    def roll_back(self, *, keep: int) -> ReleaseId:
        """See ReleaseStore."""
        return self._switch.back(keep=keep)

    @at_the_edge
    def progress(self, release_id: ReleaseId) -> dict[int, int]:
        """See ReleaseStore."""
        return self._log.progress(release_id)

    @at_the_edge
    def applied_topic(self, release_id: ReleaseId) -> str:
        """See ReleaseStore."""
        return self._log.applied_topic(release_id)

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
        return self._log.write(release_id, changes, progress, topic_id)

    @at_the_edge
    def forget_changes(self, release_id: ReleaseId) -> None:
        """See ReleaseStore."""
        self._log.forget(release_id)

    @at_the_edge
    def changes(self, release_id: ReleaseId, after: str) -> tuple[list[OfferChange], str]:
        """See ReleaseStore."""
        return self._log.since(release_id, after)

    def _stored_manifest(self, release_id: ReleaseId) -> ReleaseManifest | None:
        """Return a manifest, None if it is absent or empty. A manifest that is too large is not read to its end."""
        blob = self._client.getrange(self._keys.of(release_id, "manifest"), 0, MANIFEST_BYTES_MAX)
        return decode_manifest(release_id, blob, self._seals) if blob else None

    def _manifest(self, release_id: ReleaseId) -> ReleaseManifest:
        """Return a manifest. Raises ReleaseError if it is absent, or does not fit the sizes of the values it names."""
        manifest = self._stored_manifest(release_id)
        if manifest is None:
            raise ReleaseError(f"release {release_id} has no manifest: it was never written, or has expired")
        check_sizes(manifest, self._sizes(keys=self._keys.needed(manifest), args=[]), self._bytes_max)
        return manifest

    def _tower(self, manifest: ReleaseManifest, name: str) -> Tower:
        blob = self._client.get(self._keys.of(manifest.release_id, name))
        whole = checked(blob, manifest.towers[name], f"the {name} of release {manifest.release_id}")
        return decode_tower(manifest.release_id, whole, self._open_program)

    def _item_tower(self, manifest: ReleaseManifest) -> tuple[Tower | None, str]:
        """Return what reads the features that requests state of offers, and why it is not here where it is due.

        A release is served all the same where the item tower is a program that cannot be opened here: its offers'
        vectors are stored, and few requests state features.
        """
        try:
            return reading_features(self._tower(manifest, "item_tower")), ""
        except ReleaseError as error:
            if not isinstance(error.__cause__, ClosedProgram):
                raise
            return None, f"the item tower, which would read these features, is not here: {error.__cause__}"

    def _reranker(self, manifest: ReleaseManifest) -> Reranker | None:
        return decode_reranker(manifest, self._values(self._keys.reranker(manifest)))

    def _catalog(self, manifest: ReleaseManifest) -> Catalog:
        """Return the offers as they were published, without the changes since."""
        return decode_chunks(manifest, self._values(self._keys.chunks(manifest)))

    def _published(self, manifest: ReleaseManifest) -> Catalog:
        """Return the offers as they were published, in shared memory where there is any."""
        if self._share is None:
            return self._catalog(manifest)
        # the sealed manifest vouches for the chunks, and their digests for whatever is made from them
        return self._share(
            manifest.release_id, checksum("".join(manifest.chunks).encode()), lambda: self._catalog(manifest)
        )

    def _indexed(self, manifest: ReleaseManifest, catalog: Catalog) -> Catalog:
        """Return the catalog as it was published, with its index where there is one that can be searched here."""
        file = None if self._open_index is None else self._index(manifest)
        if file is None or self._open_index is None:
            return catalog
        try:
            with reading(f"the index of release {manifest.release_id}"):
                lists = self._open_index(file, catalog.vectors)
        except ImportError as error:
            _log.warning(
                "index_not_used",
                release_id=manifest.release_id,
                reason=f"faiss is not here ({error}), so every request is ranked exactly: pip install '.[index]'",
            )
            return catalog
        return catalog.indexed_by(OfferIndex(file, lists, catalog.offer_ids, catalog.vectors))

    def _index(self, manifest: ReleaseManifest) -> InvertedFile | None:
        return decode_index(manifest, self._values(self._keys.index(manifest)))

    def _values(self, keys: Sequence[str]) -> Iterator[bytes | None]:
        for start in range(0, len(keys), _READ_KEYS):
            yield from self._client.mget(keys[start : start + _READ_KEYS])

    def _verified(self, release_id: ReleaseId) -> list[str]:
        """See ReleaseSwitch."""
        manifest = self._manifest(release_id)
        towers = {name: self._tower(manifest, name) for name in TOWERS}  # both must be readable before it serves
        verify(self._catalog(manifest), towers["item_tower"])
        self._index(manifest)  # whole, whether or not it can be searched here
        self._reranker(manifest)
        return self._keys.needed(manifest)

    def _named(self, release_id: ReleaseId) -> list[str]:
        """See ReleaseSwitch."""
        manifest = self._stored_manifest(release_id)
        return [] if manifest is None else self._keys.needed(manifest)


def _stored_reranker(model: Model, parts: Sequence[bytes]) -> StoredReranker | UnsetType:
    return UNSET if model.reranker is None else StoredReranker(model.reranker.kind, [checksum(part) for part in parts])


def _stored_index(release: Release) -> StoredIndex | None:
    if release.catalog.nearest is None:
        return None
    file = release.catalog.nearest.file
    return StoredIndex([checksum(blob) for blob in _index_parts(release)], file.probes, file.recall)


def _index_parts(release: Release) -> Iterator[bytes]:
    if release.catalog.nearest is not None:
        yield from encode_index(release.release_id, release.catalog.nearest.file)
