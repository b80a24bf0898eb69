"""Lets a bounded number of requests in at a time, and counts all of them."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

from stream_scorer.http_door.app import PATHS
from stream_scorer.http_door.door_metrics import DoorMetrics
from stream_scorer.http_door.problems import Problem, answer
from stream_scorer.ports import Clock

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]

_OTHER = "other"  # any path at all may be asked for, and each value of a label is kept for ever


class Admission:
    """An ASGI application around another: beyond `in_flight_max` requests it answers itself, without reading a body."""

    def __init__(self, app: AsgiApp, *, in_flight_max: int, metrics: DoorMetrics, clock: Clock) -> None:
        """Let nothing in yet."""
        self._app, self._in_flight_max = app, in_flight_max
        self._metrics, self._clock = metrics, clock
        self._in_flight = 0
        detail = f"{in_flight_max} requests are in flight, which is the bound (http.in_flight_max): try again later"
        self._full = answer(Problem(HTTPStatus.SERVICE_UNAVAILABLE, "too_many_in_flight", detail))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        status, started_s = 0, self._clock.monotonic_s()

        async def noting(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        app = self._app if self._in_flight < self._in_flight_max else self._full
        try:
            with self._counted():
                await app(scope, receive, noting)
        except asyncio.CancelledError:
            # Only a shutdown cancels, when the time to drain is over. The server would log a traceback, and answers
            # with 500 by itself what was not answered.
            return
        finally:
            path = scope["path"] if scope["path"] in PATHS else _OTHER
            self._metrics.answered(path, status, self._clock.monotonic_s() - started_s)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self._in_flight += 1
        self._metrics.in_flight(self._in_flight)
        try:
            yield
        finally:
            self._in_flight -= 1
            self._metrics.in_flight(self._in_flight)
