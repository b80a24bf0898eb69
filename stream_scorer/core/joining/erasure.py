"""Customers who are erased, as a join learns of them: by erasures among the outcomes.

What is erased is decided by event times alone, so the same records leave the same labels in whatever order they are
read.
"""

from collections.abc import Iterable

from stream_scorer.core.messages import Erasure
from stream_scorer.core.records import DeadLetter, Record
from stream_scorer.core.wire.codec import decode_all


class ErasedCustomers:
    """The request time up to which each customer of a partition is erased; true when there is any."""

    def __init__(self) -> None:
        self._to_ms: dict[str, int] = {}

    def __bool__(self) -> bool:
        return bool(self._to_ms)

    def note(self, erasure: Erasure) -> None:
        """Take an erasure in."""
        self._to_ms[erasure.customer_id] = max(erasure.erased_to_ms, self._to_ms.get(erasure.customer_id, -1))

    def cover(self, customer_id: str, request_time_ms: int) -> bool:
        """Return whether a customer's request is erased."""
        return request_time_ms <= self._to_ms.get(customer_id, -1)

    def forget(self, passed_ms: int) -> None:
        """Drop the erasures before that time: no request that they cover can come any more."""
        if self._to_ms:
            self._to_ms = {customer_id: to_ms for customer_id, to_ms in self._to_ms.items() if passed_ms <= to_ms}


def sort_out(letters: Iterable[DeadLetter]) -> tuple[list[DeadLetter], list[tuple[Record, Erasure]]]:
    """Part the erasures from the records that cannot be read as outcomes: return the other dead letters, and them."""
    dead: list[DeadLetter] = []
    erasures: list[tuple[Record, Erasure]] = []
    for letter in letters:
        if messages := decode_all([letter.record], Erasure).messages:
            erasures.append((letter.record, messages[0]))
        else:
            dead.append(letter)
    return dead, erasures
