"""Flips the pointer to the release that serves, forward and back, and lets old releases expire."""

from collections.abc import Callable, Sequence

import structlog
from redis.exceptions import RedisError

from stream_scorer.adapters.redis.client import TRANSIENT, RedisClient
from stream_scorer.adapters.redis.keys import LISTED_BYTES_MAX, ReleaseKeys, check_bytes, checked_id, read_pointer
from stream_scorer.adapters.redis.scripts import EXPIRE, FLIP
from stream_scorer.core.messages import ReleaseId
from stream_scorer.errors import ReleaseError, TransientError

KeysOf = Callable[[ReleaseId], Sequence[str]]

_log = structlog.get_logger(__name__)


class ReleaseSwitch:
    """Flips the pointer to verified releases, and lets releases expire that history no longer names.

    `verified` returns the keys that a release needs, and raises ReleaseError unless the release is whole and its
    vectors are right. `named` returns the keys that a manifest names, none where the manifest is gone, and checks
    nothing else.
    """

    def __init__(
        self, client: RedisClient, keys: ReleaseKeys, *, expiry_s: int, verified: KeysOf, named: KeysOf
    ) -> None:
        self._client, self._keys, self._expiry_s = client, keys, expiry_s
        self._verified, self._named = verified, named
        self._flip, self._expire = client.register_script(FLIP), client.register_script(EXPIRE)

    def to(self, release_id: ReleaseId, *, keep: int) -> None:
        """Flip to a release, whatever is current."""
        self._switch(release_id, keep=keep, expected="")

    def back(self, *, keep: int) -> ReleaseId:
        """Flip to the release before the current, and return its id.

        Raises ReleaseError where there is none, or where another release has become current meanwhile.
        """
        entries = self._client.lrange(self._keys.history, 0, 1)
        history = [checked_id(name, "the history of releases") for name in entries]
        if len(history) < 2:
            raise ReleaseError("there is no earlier release to roll back to")
        # only from the release that is current now: two rollbacks at once must not go back two releases
        self._switch(history[1], keep=keep, expected=history[0])
        return history[1]

    def _switch(self, release_id: ReleaseId, *, keep: int, expected: str) -> None:
        """Verify, flip, and let releases expire that history no longer names.

        When it raises, the pointer has not moved, or the error says that this is not known.
        """
        # the script reads both whole, and Redis serves nobody else meanwhile
        for key, what in ((self._keys.history, "the history of releases"), (self._keys.stored, "the set of releases")):
            check_bytes(self._client, key, LISTED_BYTES_MAX, what)
        needed = self._verified(release_id)
        keys = [*self._keys.shared, *needed, *self._keys.optional(release_id)]
        try:
            # a rollback takes the release that it leaves out of history: the next rollback must not return to it
            answer, what = self._flip(keys=keys, args=[release_id, len(needed), keep, expected, int(bool(expected))])
        except TRANSIENT as error:
            return self._settle(release_id, error)
        if answer == b"POINTER":
            now = what.decode(errors="replace") or "none"
            raise ReleaseError(f"the pointer moved from {expected} to {now} meanwhile; nothing was rolled back")
        if answer == b"ABSENT":
            raise ReleaseError(f"release {release_id} is not whole: {what.decode(errors='replace')} is gone")
        for old in what:
            self._let_expire(old)
        return None

    def _settle(self, release_id: ReleaseId, error: Exception) -> None:
        """Return normally if the pointer shows that a flip without an answer has happened all the same.

        Raises TransientError where it has not happened, or where the pointer cannot be read either.
        """
        try:
            named = read_pointer(self._client, self._keys)
        except (RedisError, ReleaseError):
            reason = "it is not known whether the pointer has moved: see `stream-scorer releases` before trying again"
            raise TransientError(f"redis: {error}; {reason}") from error
        if named != release_id:
            raise TransientError(f"redis: {error}; the pointer still names {named or 'none'}") from error

    def _let_expire(self, name: bytes) -> None:
        """Let a release expire that history no longer names.

        The pointer has moved by now, and no failure here may hide that, so errors are logged and not raised.
        """
        try:
            release_id = checked_id(name, "the id of a stored release")
            keys = [*self._keys.shared, *self._named(release_id), *self._keys.optional(release_id)]
            self._expire(keys=keys, args=[release_id, self._expiry_s])
        except (RedisError, ReleaseError) as error:
            _log.warning("an old release does not expire", release_id=name.decode(errors="replace"), reason=str(error))
