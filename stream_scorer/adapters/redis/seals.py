"""Seals on JSON values: a digest of each value and what it belongs to, so that no alteration or move goes unnoticed.

Without a key, a seal is a SHA-256, which shows damage. With a key, it is an HMAC-SHA-256, which also shows whatever
somebody without the key wrote.
"""

import hashlib
import hmac
import re

from stream_scorer.errors import ReleaseError

_SEAL = re.compile(rb',"seal":"(sha256|hmac-sha256):([0-9a-f]{64})"\}\Z')


class Seals:
    """Makes and checks seals, with a key or without."""

    def __init__(self, key: bytes | None = None) -> None:
        self._key = key
        self._kind = b"sha256" if key is None else b"hmac-sha256"

    def close(self, owner: str, value: bytes) -> bytes:
        """Return the JSON object with its seal added as the last key.

        `owner` says what the value is, and of which release.
        """
        return b'%b,"seal":"%b:%b"}' % (value[:-1], self._kind, self._digest(owner, value))

    def open(self, owner: str, value: bytes) -> bytes:
        """Return the JSON object without its seal.

        Raises ReleaseError for a value that is not sealed, or not by this key for this owner, or was altered.
        """
        # a seal takes fewer than 100 bytes, and the value may be large
        seal = _SEAL.search(value[-100:])
        if seal is None:
            raise ReleaseError(f"{owner} has no seal: it was altered, or an older version wrote it; publish again")
        if seal[1] != self._kind:
            raise ReleaseError(_OTHER_KIND[self._key is None].format(owner=owner))
        opened = value[: -len(seal[0])] + b"}"
        if not hmac.compare_digest(seal[2], self._digest(owner, opened)):
            raise ReleaseError(
                f"{owner} is not what was written{'' if self._key is None else ' with redis.signing_key'}"
            )
        return opened

    def _digest(self, owner: str, value: bytes) -> bytes:
        sealed = b"%b\0%b" % (owner.encode(), value)
        made = hashlib.sha256(sealed).digest() if self._key is None else hmac.digest(self._key, sealed, "sha256")
        return made.hex().encode()


_OTHER_KIND = {
    True: "{owner} is signed: set redis.signing_key to the key that it was published with",
    False: "{owner} is not signed, and redis.signing_key is set: publish again with that key",
}
