"""What both clients share: records out, and a thread that reads what comes back."""

from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import closing
from threading import Event, Lock, Thread

from stream_scorer.client.expected import ExpectedRankings
from stream_scorer.core.messages import Acceptance, CustomerRequest
from stream_scorer.core.records import OutputRecord
from stream_scorer.errors import NotDelivered, NotReady, StreamScorerError, UsageError
from stream_scorer.ports import Exchange, RecordTail
from stream_scorer.services.operating.given_messages import checked
from stream_scorer.topic_settings import TopicSettings

SentMessage = CustomerRequest | Acceptance

DELIVERY_GRACE_S = 5.0  # the brokers' client gives a record up by itself, with a reason
_FETCH_S = 0.1
_END_S = 5.0
_CLOSED = "the client is closed"


class Session:
    """Posts messages, and reads rankings and dead letters from when the first ranking is expected."""

    def __init__(self, exchange: Exchange, topics: TopicSettings, *, expected_max: int) -> None:
        """Read nothing yet: who only sends needs no right to read."""
        self._exchange, self._topics = exchange, topics
        self.expected = ExpectedRankings(topics, requests_max=expected_max)
        self._tail: RecordTail | None = None
        self._reading: Thread | None = None
        self._starting, self._closed = Lock(), Event()

    def post(self, messages: Sequence[SentMessage]) -> "list[Future[None]]":
        """Send messages, and return a future for each; see Exchange.send.

        Raises UsageError, before any is sent, for one that the ranker would refuse; NotReady once closed.
        """
        if self._closed.is_set():
            raise NotReady(_CLOSED)
        return [self._exchange.send(record) for record in [self._record(each) for each in messages]]

    def _record(self, message: SentMessage) -> OutputRecord:
        if isinstance(message, CustomerRequest):
            return OutputRecord(
                self._topics.requests, message.customer_id.encode(), checked(message, CustomerRequest)[1]
            )
        if isinstance(message, Acceptance):
            return OutputRecord(self._topics.acceptances, message.customer_id.encode(), checked(message, Acceptance)[1])
        raise UsageError(f"a CustomerRequest or an Acceptance is needed, got {type(message).__name__}")

    def expect(self, request: CustomerRequest) -> None:
        """Expect a ranking, before its request is sent. Raises as ExpectedRankings.expect and `start_reading` do."""
        self.start_reading()
        self.expected.expect(request)

    def start_reading(self) -> None:
        """Read rankings from now on, unless they are read. Raises as Exchange.tail does, and NotReady once closed."""
        with self._starting:
            if self._closed.is_set():
                raise NotReady(_CLOSED)
            if self._reading is None:
                self._tail = self._exchange.tail([self._topics.rankings, self._topics.dead_letters])
                self._reading = Thread(target=self._read, args=(self._tail,), name="rankings", daemon=True)
                self._reading.start()

    def trouble(self) -> str:
        """Return what keeps rankings from coming now and may pass; empty: nothing, as far as is known."""
        return "" if self._tail is None else self._tail.trouble

    def failure(self) -> str:
        """Return why this session can never again be of use; empty: it can."""
        return self._exchange.failure() or self.expected.over or ""

    def _read(self, tail: RecordTail) -> None:
        reason = "reading rankings has ended"
        try:
            with closing(tail):
                while not self._closed.is_set():
                    self.expected.take(tail.fetch(wait_s=_FETCH_S))
            reason = _CLOSED
        except StreamScorerError as error:
            reason = f"rankings cannot be read any more: {error}"
        finally:  # whatever ends this thread, nobody may wait for it in vain
            self.expected.fail(reason)

    def close(self) -> None:
        """Wait until what was posted is delivered or given up, and end all waiting for rankings."""
        with self._starting:
            self._closed.set()
        self._exchange.close()
        self.expected.fail(_CLOSED)
        if self._reading is not None:
            self._reading.join(_END_S)


def check_delivered(futures: "Sequence[Future[None]]", *, waited_s: float) -> None:
    """Raise NotDelivered, with the first reason, unless each record was delivered by now."""
    failed = [reason for each in futures if (reason := _failure(each, waited_s)) is not None]
    if failed:
        raise NotDelivered(f"{len(failed)} of {len(futures)} records were not delivered: {failed[0]}")


def _failure(future: "Future[None]", waited_s: float) -> str | None:
    if future.cancelled() or not future.done():
        return f"no answer within {waited_s:g} s"
    error = future.exception()
    return None if error is None else str(error)
