"""An Exchange in memory: `answer` gives what is written to topics because a record was sent."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from threading import Lock

from stream_scorer.core.records import OutputRecord, Record
from stream_scorer.errors import FatalStreamError, NotDelivered


class MemoryTail:
    """See RecordTail."""

    def __init__(self, topics: Sequence[str]) -> None:
        """Begin with nothing."""
        self.topics = frozenset(topics)
        self.written: SimpleQueue[Record] = SimpleQueue()
        self.broken: str | None = None
        self.trouble = ""
        self.closed = False

    def fetch(self, *, wait_s: float) -> list[Record]:
        """See RecordTail.fetch."""
        if self.broken is not None:
            raise FatalStreamError(self.broken)
        try:
            return [self.written.get(timeout=wait_s)]
        except Empty:
            return []

    def close(self) -> None:
        """See RecordTail.close."""
        self.closed = True


class MemoryExchange:
    """See Exchange. `refuse` gives the reason for a record that cannot be delivered."""

    def __init__(
        self,
        answer: Callable[[Record], Sequence[Record]] = lambda record: (),
        *,
        refuse: Callable[[OutputRecord], str | None] = lambda record: None,
    ) -> None:
        """Begin with nothing."""
        self.sent: list[Record] = []
        self.tails: list[MemoryTail] = []
        self.closed = False
        self.failed = ""
        self._answer, self._refuse, self._lock = answer, refuse, Lock()

    def send(self, record: OutputRecord) -> "Future[None]":
        """See Exchange.send."""
        future: Future[None] = Future()
        if reason := self._refuse(record):
            future.set_exception(NotDelivered(f"to {record.topic}: {reason}"))
            return future
        with self._lock:
            stored = Record(record.topic, 0, len(self.sent), record.key, record.value, 0, record.headers)
            self.sent.append(stored)
        for each in (stored, *self._answer(stored)):
            self.write(each)
        future.set_result(None)
        return future

    def write(self, record: Record) -> None:
        """Write a record as another program would."""
        for tail in self.tails:
            if record.topic in tail.topics:
                tail.written.put(record)

    def tail(self, topics: Sequence[str]) -> MemoryTail:
        """See Exchange.tail. Here every topic exists."""
        tail = MemoryTail(topics)
        self.tails.append(tail)
        return tail

    def failure(self) -> str:
        """See Exchange.failure; `failed` gives it."""
        return self.failed

    def close(self) -> None:
        """See Exchange.close."""
        self.closed = True
