"""The changes of offers since a release was published: the latest of each offer, and a log of which offers changed."""

import hashlib
import secrets
from collections.abc import Mapping, Sequence

from stream_scorer.adapters.redis.blobs import decode_json, reading
from stream_scorer.adapters.redis.changes import Sealed, decode_changes, encode_change
from stream_scorer.adapters.redis.client import RedisClient
from stream_scorer.adapters.redis.keys import ReleaseKeys, check_bytes
from stream_scorer.adapters.redis.scripts import CHANGE, FIELDS
from stream_scorer.adapters.redis.seals import Seals
from stream_scorer.core.messages import ReleaseId
from stream_scorer.core.releases.change import OfferChange
from stream_scorer.errors import ReleaseError

CHANGES_READ_MAX = 1_000
NO_CHANGES = "0"
_MARK_BYTES_MAX = 1_000
_PROGRESS_BYTES_MAX = 2**20
_SCAN = 4_096


class ChangeLog:
    """Writes and follows the changes.

    About `kept` entries stay in the log, and no more than `bytes_max` bytes are read at once.
    """

    def __init__(self, client: RedisClient, keys: ReleaseKeys, seals: Seals, *, kept: int, bytes_max: int) -> None:
        self._client, self._keys, self._seals = client, keys, seals
        self._kept, self._bytes_max = kept, bytes_max
        self._change, self._fields = client.register_script(CHANGE), client.register_script(FIELDS)

    def progress(self, release_id: ReleaseId) -> dict[int, int]:
        """See ReleaseStore."""
        what = f"the progress of release {release_id}"
        progress, digest = self._read(release_id, ["progress", "progress_sha1"], _PROGRESS_BYTES_MAX)
        if progress is None or progress == b"{}":
            return {}
        # Redis offers a script no other digest than SHA-1; it shows damage here, and is no signature
        if digest != hashlib.sha1(release_id.encode() + progress, usedforsecurity=False).hexdigest().encode():
            raise ReleaseError(f"{what} is not what was written")
        return decode_json(progress, dict[int, int], what)

    def applied_topic(self, release_id: ReleaseId) -> str:
        """See ReleaseStore."""
        (topic,) = self._read(release_id, ["topic"], _MARK_BYTES_MAX)
        return topic.decode(errors="replace") if topic else ""

    def write(
        self,
        release_id: ReleaseId,
        changes: Sequence[OfferChange],
        progress: Mapping[int, tuple[int, int]],
        topic_id: str,
    ) -> int:
        """See ReleaseStore.change."""
        stretches = [number for partition, (start, end) in progress.items() for number in (partition, start, end)]
        stated = [
            argument
            for change in changes
            for argument in (change.offer_id, *change.source, encode_change(release_id, change, self._seals))
        ]
        keys = [self._keys.current, *self._keys.optional(release_id)]
        # the random epoch is used where a log begins: no mark of an earlier log then fits it
        arguments = [release_id, secrets.token_hex(8), self._kept, len(progress), topic_id, *stretches, *stated]
        answer, what = self._change(keys=keys, args=arguments)
        if answer == b"POINTER":
            named = what.decode(errors="replace") or "none"
            raise ReleaseError(f"release {release_id} is not current: the pointer names {named}")
        if answer == b"BEHIND":
            raise ReleaseError(f"release {release_id} is behind: {what.decode(errors='replace')}")
        return int(what)

    def forget(self, release_id: ReleaseId) -> None:
        """See ReleaseStore.forget_changes."""
        self._client.delete(*self._keys.optional(release_id))

    def mark(self, release_id: ReleaseId) -> str:
        """Return the mark of the log's end: the epoch in which the log began, and the number of its last entry."""
        epoch, seq = self._read(release_id, ["epoch", "seq"], _MARK_BYTES_MAX)
        with reading(_log_of(release_id)):
            return f"{epoch.decode()}:{int(seq)}" if epoch and seq and seq != b"0" else NO_CHANGES

    def since(self, release_id: ReleaseId, after: str) -> tuple[list[OfferChange], str]:
        """See ReleaseStore.changes.

        The log lists ids of offers, numbered without gaps; for each of them the latest change is read.
        """
        now = self.mark(release_id)
        if now == after:
            return [], after
        (epoch, start), (now_epoch, _) = _parts(after), _parts(now)
        log = self._keys.of(release_id, "changes")
        check_bytes(self._client, log, self._bytes_max, _log_of(release_id))
        entries = self._client.xrange(log, min=f"({start}-0", count=CHANGES_READ_MAX)
        # otherwise entries after the mark were trimmed, and their changes would be missed
        follows = bool(entries) and entries[0][0] == b"%d-0" % (start + 1)
        if (epoch not in ("", now_epoch)) or not follows:
            raise ReleaseError(f"release {release_id}: the changes behind {after} are gone")
        with reading(_log_of(release_id)):
            offer_ids = list(dict.fromkeys(fields[b"o"] for _, fields in entries))
            reached = int(entries[-1][0].split(b"-")[0])
        values = self._read(release_id, [b"o:" + offer_id for offer_id in offer_ids], self._bytes_max)
        sealed = dict(zip(offer_ids, values, strict=True))
        return decode_changes(release_id, sealed, self._seals), f"{now_epoch}:{reached}"

    def latest(self, release_id: ReleaseId) -> Sealed:
        """Return the latest change of each offer that has changed; a scan may repeat an offer, which is harmless."""
        key = self._keys.of(release_id, "changed")
        check_bytes(self._client, key, self._bytes_max, f"the changes of release {release_id}")
        scanned = self._client.hscan_iter(key, match="o:*", count=_SCAN)
        return {field.removeprefix(b"o:"): value for field, value in scanned}

    def _read(self, release_id: ReleaseId, fields: Sequence[str | bytes], bytes_max: int) -> list[bytes | None]:
        """Return fields of `changed`, None where absent. Raises ReleaseError, and reads none, if they are too large."""
        answer, what = self._fields(keys=[self._keys.of(release_id, "changed")], args=[bytes_max, *fields])
        if answer == b"LARGE":
            raise ReleaseError(f"{_log_of(release_id)} cannot be read: {what} bytes, at most {bytes_max} are read")
        return list(what)


def _log_of(release_id: ReleaseId) -> str:
    return f"the log of changes of release {release_id}"


def _parts(mark: str) -> tuple[str, int]:
    """Return the parts of a mark: the epoch of the log, and the number of the last entry that was read."""
    epoch, _, seq = mark.rpartition(":")
    return epoch, int(seq)
