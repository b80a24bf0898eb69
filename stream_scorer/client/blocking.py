"""The client for threads."""

from concurrent.futures import wait
from types import TracebackType
from typing import Self

from stream_scorer.client.session import DELIVERY_GRACE_S, SentMessage, Session, check_delivered
from stream_scorer.core.messages import CustomerRequest, Ranking
from stream_scorer.errors import NoRanking
from stream_scorer.ports import Clock


class Client:
    """Sends requests and acceptances, and waits for rankings. Any thread may call it; `connect` makes one.

    Every wait ends after `timeout_s`, which each method takes, too. Where several records were not delivered, the error
    names the first.
    """

    def __init__(self, session: Session, *, clock: Clock, timeout_s: float) -> None:
        """Take over a session, which `close` closes."""
        self._session, self._clock, self._timeout_s = session, clock, timeout_s

    def send(self, *messages: SentMessage) -> None:
        """Send messages and return once the brokers have them all.

        Raises UsageError, before any is sent, for a message that the ranker would refuse, and NotDelivered.
        """
        wait_s = self._timeout_s + DELIVERY_GRACE_S
        futures = self._session.post(messages)
        wait(futures, wait_s)
        check_delivered(futures, waited_s=wait_s)

    def submit(self, request: CustomerRequest) -> None:
        """Send a request whose ranking `ranking` takes later.

        Raises as `send` does, and UsageError where its id is awaited already or too many rankings are.
        """
        self._session.expect(request)
        try:
            self.send(request)
        except BaseException:
            self._session.expected.forget(request.request_id)
            raise

    def ranking(self, request_id: str, *, timeout_s: float | None = None) -> Ranking:
        """Wait for the ranking of a request that was submitted; afterwards it is awaited no longer.

        Raises RequestRefused when the ranker refused it, NoRanking when nothing came in time (is a ranker running, and
        a release published?), and NotReady when the client was closed or cannot read.
        """
        wait_s = self._timeout_s if timeout_s is None else timeout_s
        future = self._session.expected.future_of(request_id)
        try:
            return future.result(wait_s)
        except TimeoutError:
            raise NoRanking(f"no ranking of request {request_id!r} came within {wait_s:g} s") from None
        finally:
            self._session.expected.forget(request_id)

    def rank(self, request: CustomerRequest, *, timeout_s: float | None = None) -> Ranking:
        """Send a request and wait for its ranking, at most `timeout_s` for both. Raises as `submit` and `ranking`."""
        started_s = self._clock.monotonic_s()
        self.submit(request)
        left_s = (self._timeout_s if timeout_s is None else timeout_s) - (self._clock.monotonic_s() - started_s)
        return self.ranking(request.request_id, timeout_s=max(0.0, left_s))

    def close(self) -> None:
        """Wait until what was sent is delivered or given up, and end all waiting for rankings with NotReady."""
        self._session.close()

    def __enter__(self) -> Self:
        """Return the client, which is closed at the end."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the client."""
        self.close()
