"""Customers who asked to be forgotten, known by a salted hash only.

Whatever they requested until then never comes back into the files.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

from stream_scorer.core.buffer.examples import ExampleRow


@dataclass(frozen=True, slots=True)
class Erasures:
    """`erased_ms` has, by hash, the request time up to which a customer is forgotten; later requests count again."""

    salt: str = ""
    erased_ms: Mapping[str, int] = field(default_factory=dict)

    def with_customer(self, customer_id: str, now_ms: int) -> "Erasures":
        """Return these and one more."""
        return Erasures(self.salt, {**self.erased_ms, self._hash(customer_id): now_ms})

    def cover(self, customer_id: str, request_time_ms: int) -> bool:
        """Return whether a customer's request of that time must be forgotten."""
        return bool(self.erased_ms) and request_time_ms <= self.until(customer_id)

    def until(self, customer_id: str) -> int:
        """Return up to which request time a customer is forgotten, -1 for one who is not."""
        return self.erased_ms.get(self._hash(customer_id), -1)

    def kept(self, rows: Iterable[ExampleRow]) -> list[ExampleRow]:
        """Return the rows that may stay."""
        if not self.erased_ms:
            return list(rows)
        return [row for row in rows if not self.cover(row.customer_id, row.request_time_ms)]

    def _hash(self, customer_id: str) -> str:
        return hashlib.blake2b(customer_id.encode(), key=self.salt.encode(), digest_size=16).hexdigest()

    def to_bytes(self) -> bytes:
        """Return the bytes of the file that they are kept in."""
        return msgspec.json.encode({"version": 1, "salt": self.salt, "erased_ms": dict(self.erased_ms)})

    @classmethod
    def from_bytes(cls, data: bytes) -> "Erasures":
        """Read a list. Raises msgspec.MsgspecError for anything else."""
        known = msgspec.json.decode(data, type=_File)
        return cls(known.salt, known.erased_ms)


class _File(msgspec.Struct):
    version: int
    salt: str
    erased_ms: dict[str, int]
