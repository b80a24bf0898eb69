"""Runs the door: a server on its address, until it is asked to stop or cannot be of use any more."""

import asyncio
import math
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog
import uvicorn

from stream_scorer.adapters.local.clock import SystemClock
from stream_scorer.adapters.web.listening import bound, server_of
from stream_scorer.client import AsyncClient
from stream_scorer.client.opening import open_session
from stream_scorer.client.session import DELIVERY_GRACE_S, Session
from stream_scorer.errors import NotReady
from stream_scorer.health import note_version, process_registry, serve_pages
from stream_scorer.http_door.admission import Admission
from stream_scorer.http_door.app import door_app
from stream_scorer.http_door.door_metrics import DoorHealth, DoorMetrics
from stream_scorer.settings import HttpSettings, Settings
from stream_scorer.wiring.brokers import brokers_ready

log = structlog.get_logger(__name__)

_LOOK_S = 0.1
_ANSWER_S = 5.0  # to write the last answers to who reads slowly


def run_http(settings: Settings, *, stopping: Callable[[], bool]) -> None:
    """Answer requests until `stopping`; what is in flight then is answered first.

    Raises UsageError for an address that cannot be used and for missing topics; NotReady when no broker answers, and
    when nothing can be sent or read any more.
    """
    clock = SystemClock()
    registry = process_registry()
    note_version(registry)
    health, metrics = DoorHealth(clock, stalled_after_s=settings.metrics.stalled_after_s), DoorMetrics(registry)
    with bound(settings.http.address, settings.http.port, "http.port") as listener:
        if settings.metrics.port:
            serve_pages(settings.metrics, health, registry)
        brokers_ready(settings, stopping)
        with _session(settings) as session:
            client = AsyncClient(session, timeout_s=settings.http.timeout_s)
            door = door_app(client, clock=clock, timeout_s=settings.http.timeout_s)
            admission = Admission(door, in_flight_max=settings.http.in_flight_max, metrics=metrics, clock=clock)
            server = server_of(admission, drain_s=_drain_s(settings.http))
            asyncio.run(_serve(server, listener, session, health, stopping))
            if failure := session.failure():
                raise NotReady(failure)


@contextmanager
def _session(settings: Settings) -> Iterator[Session]:
    """Yield a session that reads already: a missing topic or right is an error of the start, not of a request."""
    session = open_session(settings, timeout_s=settings.http.timeout_s, expected_max=settings.http.in_flight_max)
    try:
        session.start_reading()
        yield session
    finally:
        session.close()


def _drain_s(settings: HttpSettings) -> int:
    # no request waits longer than its timeout and the client's grace: all that are in flight are answered
    return math.ceil(settings.timeout_s + DELIVERY_GRACE_S + _ANSWER_S)


async def _serve(
    server: uvicorn.Server,
    listener: socket.socket,
    session: Session,
    health: DoorHealth,
    stopping: Callable[[], bool],
) -> None:
    """Serve; the server itself notes SIGTERM and SIGINT, `stopping` those that came before it did."""
    watching = asyncio.create_task(_watch(server, session, health, stopping))
    address, port = listener.getsockname()[:2]
    log.info("listening", address=address, port=port)
    await server.serve(sockets=[listener])
    await watching
    log.info("drained")


async def _watch(server: uvicorn.Server, session: Session, health: DoorHealth, stopping: Callable[[], bool]) -> None:
    health.begin(session.trouble)
    known = ""
    while not (server.should_exit or stopping() or session.failure()):
        health.came_round()
        if (trouble := session.trouble()) != known:
            log.warning("broker_trouble", job="http", reason=trouble or "a broker is connected again")
            known = trouble
        await asyncio.sleep(_LOOK_S)
    health.draining = True
    server.should_exit = True
