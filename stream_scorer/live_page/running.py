"""Runs the live page: its parts follow the ring in threads of their own, and a server shows them."""

import asyncio
import socket
from collections.abc import Callable, Sequence
from threading import Event, Thread
from typing import Any

import structlog
import uvicorn

from stream_scorer.adapters.local.clock import SystemClock
from stream_scorer.adapters.web.listening import bound, server_of
from stream_scorer.errors import NotReady
from stream_scorer.health import Check, note_version, process_registry, serve_pages
from stream_scorer.live_page.app import page_app
from stream_scorer.live_page.shown import Shown
from stream_scorer.services.watching.watched import Watched
from stream_scorer.settings import Settings, UiSettings
from stream_scorer.wiring.watching import open_board

log = structlog.get_logger(__name__)

_LOOK_S, _DRAIN_S = 0.1, 2
_JOIN_S = 1.0  # for all parts together: one that waits for a broker ends with the process


def run_ui(settings: Settings, *, stopping: Callable[[], bool]) -> None:
    """Show the ring until `stopping`. Brokers and Redis may be away: the page is for such times.

    Raises UsageError for an address that cannot be used, NotReady when a part can be read no more.
    """
    ui, over = settings.ui, Event()
    with bound(ui.address, ui.port, "ui.port") as listener, open_board(settings) as board:
        app = page_app(board, shown_by(ui), clock=SystemClock(), hosts=[ui.address, *ui.hosts])
        following = [_follow(part, over) for part in board.parts()]
        if settings.metrics.port:
            registry = process_registry()
            note_version(registry)
            serve_pages(settings.metrics, FollowedParts(following), registry)
        try:
            asyncio.run(_serve(server_of(app, drain_s=_DRAIN_S), listener, following, stopping))
        finally:
            over.set()
            _ended(following, SystemClock().monotonic_s() + _JOIN_S)


def _ended(following: Sequence[Thread], until_s: float) -> None:
    clock = SystemClock()
    for each in following:
        each.join(max(0.0, until_s - clock.monotonic_s()))


class FollowedParts:
    """See Checks: the page is of use whatever is away, as long as all its parts are read."""

    def __init__(self, following: Sequence[Thread]) -> None:
        self._following = following

    def startupz(self) -> Check:
        """See Checks."""
        return True, "started"

    def livez(self) -> Check:
        """See Checks."""
        alive = all(each.is_alive() for each in self._following)
        return (True, "live") if alive else (False, "a part of the page is read no more")

    def readyz(self) -> Check:
        """See Checks."""
        return self.livez()


def _follow(part: Watched[Any], over: Event) -> Thread:
    thread = Thread(target=part.follow, args=(over.is_set,), name="part", daemon=True)
    thread.start()
    return thread


async def _serve(
    server: uvicorn.Server, listener: socket.socket, following: Sequence[Thread], stopping: Callable[[], bool]
) -> None:
    watching = asyncio.create_task(_watch(server, following, stopping))
    address, port = listener.getsockname()[:2]
    log.info("listening", address=address, port=port)
    await server.serve(sockets=[listener])
    await watching


async def _watch(server: uvicorn.Server, following: Sequence[Thread], stopping: Callable[[], bool]) -> None:
    while not (server.should_exit or stopping()):
        if not all(each.is_alive() for each in following):
            server.should_exit = True
            raise NotReady("a part of the page ended by a fault of its own, which the log names")
        await asyncio.sleep(_LOOK_S)
    server.should_exit = True


def shown_by(ui: UiSettings) -> Shown:
    """Return what the settings let people see."""
    return Shown(ui.personal == "shown", ui.offer_name, ui.records_max)
