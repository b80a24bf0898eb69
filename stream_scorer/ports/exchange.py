"""What a program needs of Kafka that sends requests and waits for what becomes of them."""

from collections.abc import Sequence
from concurrent.futures import Future
from typing import Protocol

from stream_scorer.core.records import OutputRecord, Record


class RecordTail(Protocol):
    """What is written to some topics from the moment at which it was opened. One thread only, but for `trouble`."""

    @property
    def trouble(self) -> str:
        """Why no broker is connected now, as far as is known; empty: one is."""

    def fetch(self, *, wait_s: float) -> list[Record]:
        """Return what has come, in any order of partitions; wait for the first record at most `wait_s`.

        Trouble that may pass gives nothing; what cannot heal raises FatalStreamError.
        """

    def close(self) -> None:
        """Let go."""


class Exchange(Protocol):
    """Sends records, and hears of each whether it was delivered. Any thread."""

    def send(self, record: OutputRecord) -> "Future[None]":
        """Hand a record over; the future fails with NotDelivered, or ends once the brokers have the record.

        Raises NotDelivered for a record that is refused before it is sent.
        """

    def tail(self, topics: Sequence[str]) -> RecordTail:
        """Return a tail of topics; what is sent after this call is in it. Raises UsageError for a missing topic."""

    def failure(self) -> str:
        """Return why nothing can be sent ever again; empty: it can."""

    def close(self) -> None:
        """Wait until each record is delivered or given up, and leave."""
