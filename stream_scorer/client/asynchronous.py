"""The client for asyncio."""

import asyncio
from contextlib import suppress

from stream_scorer.client.session import DELIVERY_GRACE_S, SentMessage, Session, check_delivered
from stream_scorer.core.messages import CustomerRequest, Ranking
from stream_scorer.errors import NoRanking


class AsyncClient:
    """See Client: the same methods as coroutines, for any number of tasks of a loop; `connect_async` makes one.

    A task that is cancelled while it waits leaves nothing behind; what it had sent stays sent.
    """

    def __init__(self, session: Session, *, timeout_s: float) -> None:
        """Use a session, which its owner closes."""
        self._session, self._timeout_s = session, timeout_s

    async def send(self, *messages: SentMessage) -> None:
        """See Client.send."""
        wait_s = self._timeout_s + DELIVERY_GRACE_S
        # in a thread, since the client waits where its queue is full
        futures = await asyncio.to_thread(self._session.post, messages)
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await asyncio.gather(*map(asyncio.wrap_future, futures), return_exceptions=True)
        check_delivered(futures, waited_s=wait_s)

    async def submit(self, request: CustomerRequest) -> None:
        """See Client.submit."""
        await asyncio.to_thread(self._session.start_reading)  # asks the brokers, the first time
        # not in that thread, which goes on where this task is cancelled, and would leave the id awaited for ever
        self._session.expected.expect(request)
        try:
            await self.send(request)
        except BaseException:
            self._session.expected.forget(request.request_id)
            raise

    async def ranking(self, request_id: str, *, timeout_s: float | None = None) -> Ranking:
        """See Client.ranking."""
        wait_s = self._timeout_s if timeout_s is None else timeout_s
        future = self._session.expected.future_of(request_id)
        try:
            async with asyncio.timeout(wait_s):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            raise NoRanking(f"no ranking of request {request_id!r} came within {wait_s:g} s") from None
        finally:
            self._session.expected.forget(request_id)

    async def rank(self, request: CustomerRequest, *, timeout_s: float | None = None) -> Ranking:
        """See Client.rank."""
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        await self.submit(request)
        left_s = (self._timeout_s if timeout_s is None else timeout_s) - (loop.time() - started_s)
        return await self.ranking(request.request_id, timeout_s=max(0.0, left_s))
