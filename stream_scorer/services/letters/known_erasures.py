"""Which letters an erasure covers: what a customer had removed must not come back by way of a dead letter."""

from stream_scorer.core.joining.erasure import ErasedCustomers
from stream_scorer.core.messages import Erasure
from stream_scorer.core.records import Partition
from stream_scorer.core.wire.codec import decode_all
from stream_scorer.core.wire.letter_reading import Letter
from stream_scorer.errors import UsageError
from stream_scorer.ports import LogReader
from stream_scorer.services.operating.whereabouts import head_of

_MARK = b'"erased_to_ms"'  # whoever writes erasures, we alone do, spells the name so; decoding all outcomes takes long


class KnownErasures:
    """The erasures that the topic of outcomes holds.

    Letters are kept longer than outcomes: of letters before `since_ms` nobody knows here whether they are covered.
    """

    def __init__(self, reader: LogReader, outcomes: str) -> None:
        """Read the erasures. Raises UsageError where the topic cannot be seen: then nothing could be checked."""
        if outcomes not in reader.topics([outcomes]):
            raise UsageError(
                f"topic {outcomes} does not exist, or this user may not see it: it holds which customers were erased, "
                "whose records must not be sent again"
            )
        self._customers = ErasedCustomers()
        # every partition has every erasure, and the first has been there for as long as the topic
        partition = Partition(outcomes, 0)
        first, end = reader.beginning(partition), reader.end(partition)
        self.since_ms: float = float("inf") if first else 0
        for batch in reader.read(partition, first, end):
            self.since_ms = min(self.since_ms, batch[0].timestamp_ms)
            erasures = decode_all([record for record in batch if _MARK in (record.value or b"")], Erasure)
            for erasure in erasures.messages:
                self._customers.note(erasure)

    def cover(self, letter: Letter) -> bool:
        """Return whether a letter's record is of an erased customer, and not later than the erasure."""
        if not self._customers:
            return False
        head = head_of(letter.record.value or b"")
        if head is not None:
            return self._customers.cover(head.customer_id, head.event_time_ms)
        # what cannot be read is a customer's by its key, as `erase` takes it, and has no time that would save it
        return self._customers.cover((letter.record.key or b"").decode(errors="replace"), 0)

    def reach(self, letter: Letter) -> bool:
        """Return whether an erasure that was written since the letter would still be there."""
        return letter.record.timestamp_ms >= self.since_ms
