"""The requests whose rankings are awaited, and what came of them."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Lock

import msgspec

from stream_scorer.core.messages import CustomerRequest, Ranking
from stream_scorer.core.records import Record
from stream_scorer.core.wire.codec import decode_all
from stream_scorer.errors import AwaitedAlready, NotReady, RequestRefused, StreamScorerError, UsageError
from stream_scorer.topic_settings import TopicSettings


class _Ids(msgspec.Struct):
    """Whose record it is: all that is read of what others requested."""

    request_id: str
    customer_id: str


_ids_of = msgspec.json.Decoder(_Ids).decode


@dataclass(frozen=True, slots=True)
class _AwaitedRanking:
    customer_id: str
    future: "Future[Ranking]" = field(default_factory=Future)


class ExpectedRankings:
    """Futures by request id, at most `requests_max`. Many threads may ask; one hands over what it reads."""

    def __init__(self, topics: TopicSettings, *, requests_max: int) -> None:
        """Expect nothing."""
        self._topics, self._requests_max = topics, requests_max
        self._expected: dict[str, _AwaitedRanking] = {}
        self._over: str | None = None
        self._lock = Lock()

    def expect(self, request: CustomerRequest) -> None:
        """Expect a ranking from now on, until `forget`.

        Raises AwaitedAlready for an id that is, UsageError beyond `requests_max`, and NotReady after `fail`.
        """
        with self._lock:
            if self._over is not None:
                raise NotReady(self._over)
            if request.request_id in self._expected:
                raise AwaitedAlready(f"request id {request.request_id!r} is awaited already")
            if len(self._expected) >= self._requests_max:
                raise UsageError(f"{self._requests_max} rankings are awaited: take them, or raise expected_max")
            self._expected[request.request_id] = _AwaitedRanking(request.customer_id)

    def future_of(self, request_id: str) -> "Future[Ranking]":
        """Return the future of an expected ranking. Raises UsageError where none is."""
        with self._lock:
            expected = self._expected.get(request_id)
        if expected is None:
            raise UsageError(f"no ranking of request {request_id!r} is awaited: submit() the request first")
        return expected.future

    def forget(self, request_id: str) -> None:
        """Expect a ranking no longer."""
        with self._lock:
            self._expected.pop(request_id, None)

    def take(self, records: Sequence[Record]) -> None:
        """Settle what these records answer: rankings, and dead letters of requests."""
        for record in records:
            if record.topic == self._topics.rankings:
                self._settle(record, self._read)
            elif _header(record, "source.topic") == self._topics.requests:
                self._settle(record, _refusal)

    @property
    def over(self) -> str | None:
        """Why nothing can be awaited any more; None while it can."""
        return self._over

    def fail(self, reason: str) -> None:
        """End all waiting, now and from now on, with NotReady."""
        with self._lock:
            self._over = self._over or reason
            for each in self._expected.values():
                _end(each.future, NotReady(reason))

    def _settle(self, record: Record, read: "Callable[[Record], Ranking | StreamScorerError]") -> None:
        try:
            ids = _ids_of(record.value or b"")
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return  # of no request of ours, which could be read before they were sent
        with self._lock:
            expected = self._expected.get(ids.request_id)
        # one request id may be that of several customers
        if expected is not None and expected.customer_id == ids.customer_id:
            answer = read(record)
            with self._lock:  # two threads that settle one future at a time would fail
                _end(expected.future, answer)

    @staticmethod
    def _read(record: Record) -> Ranking | StreamScorerError:
        decoded = decode_all([record], Ranking)
        for letter in decoded.dead_letters:
            return UsageError(f"the ranking cannot be read: {letter.message}: is the ranker of another version?")
        return decoded.messages[0]


def _refusal(record: Record) -> RequestRefused:
    return RequestRefused(_header(record, "error.code"), _header(record, "error.message"))


def _header(record: Record, name: str) -> str:
    return next((value.decode(errors="replace") for key, value in record.headers if key == name and value), "")


def _end(future: "Future[Ranking]", answer: Ranking | StreamScorerError) -> None:
    """Settle a future, once: at least once may bring two rankings. Nobody waits any more on one that is cancelled."""
    if future.done() or not future.set_running_or_notify_cancel():
        return
    if isinstance(answer, StreamScorerError):
        future.set_exception(answer)
    else:
        future.set_result(answer)
