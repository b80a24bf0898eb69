"""Pages for operators and orchestrators over HTTP: /metrics, /livez, /readyz and /startupz.

| what is so                                              | /startupz | /livez | /readyz |
| ------------------------------------------------------- | --------- | ------ | ------- |
| before the first round of the loop                      | 503       | 200    | 503     |
| a ranker that waits for a first release, Redis away     | 200       | 200    | 503     |
| no broker answers, or it refuses the password           | 200       | 200    | 503     |
| a member of its group, with partitions or none          | 200       | 200    | 200     |
| a joiner rebuilds the state of a partition              | 200       | 200    | 503     |
| the store of releases away, a release in memory         | 200       | 200    | 200     |
| the loop has not come round for `stalled_after_s`       | 200       | 503    | 503     |
"""

import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from threading import Thread
from typing import TYPE_CHECKING, Any, Protocol
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import structlog

from stream_scorer.errors import UsageError
from stream_scorer.ports import Clock, Fetched
from stream_scorer.settings import MetricsSettings

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

log = structlog.get_logger(__name__)

TROUBLE_S = 30.0  # a source reports every ten seconds, while it lasts, that no broker is connected
CONNECTION_S = 10.0

Check = tuple[bool, str]


class Checks(Protocol):
    """What the pages show; each check returns whether all is well, and a line for people."""

    def startupz(self) -> Check:
        """Check whether every job has begun."""

    def livez(self) -> Check:
        """Check whether every loop comes round; where one does not, a restart helps."""

    def readyz(self) -> Check:
        """Check whether every job can do its work now."""


@dataclass(slots=True)
class _JobState:
    round_s: float
    rounds: bool = True
    member: bool = False
    partitions: int = 0
    restoring: int = 0
    trouble: str = ""
    trouble_s: float = 0.0


class Health:
    """See Checks. The state of this process's jobs; safe to call from any thread."""

    def __init__(self, clock: Clock, *, stalled_after_s: float) -> None:
        self._clock, self._stalled_after_s = clock, stalled_after_s
        self._jobs: dict[str, _JobState] = {}
        self._store: tuple[Callable[[], str], Callable[[], float]] | None = None
        self._release_id: str | None = None

    def began(self, job: str) -> None:
        """Note that a job without a loop over records has begun."""
        self._add(job, _JobState(self._clock.monotonic_s(), rounds=False, member=True))

    def fetched(self, job: str, fetched: Fetched) -> None:
        """Note a round of a job's loop, and the troubles that its client reported."""
        now_s = self._clock.monotonic_s()
        state = self._jobs.get(job) or self._add(job, _JobState(now_s))
        state.round_s, state.member = now_s, fetched.member
        state.partitions += len(fetched.assignment.gained) - len(fetched.assignment.dropped)
        if fetched.troubles:
            state.trouble, state.trouble_s = fetched.troubles[-1], now_s
        elif fetched.records or fetched.ended or fetched.assignment.gained:
            state.trouble = ""

    def restoring(self, job: str, partitions: int) -> None:
        """Note for how many partitions a job rebuilds its state: a rollout should wait until none is left."""
        if job in self._jobs:
            self._jobs[job].restoring = partitions

    def watched(self, state: Callable[[], str], silent_s: Callable[[], float]) -> None:
        """Take functions that return the state of the store of releases, and for how long it has confirmed nothing."""
        self._store = (state, silent_s)

    def release(self, release_id: str) -> None:
        """Note the release that serves."""
        self._release_id = release_id

    def _add(self, job: str, state: _JobState) -> _JobState:
        # a new dictionary: pages may be walking over the one that was
        self._jobs = {**self._jobs, job: state}
        return state

    def startupz(self) -> Check:
        """See Checks."""
        return (True, "started") if self._jobs or self._waits_for_release() else (False, "the first round is not over")

    def livez(self) -> Check:
        """See Checks: a broker or a Redis that is away does not make a job stand still."""
        now_s = self._clock.monotonic_s()
        stalled = [
            job for job, state in self._jobs.items() if state.rounds and now_s - state.round_s > self._stalled_after_s
        ]
        return (False, f"stalled: {', '.join(stalled)}") if stalled else (True, "live")

    def readyz(self) -> Check:
        """See Checks."""
        live, reason = self.livez()
        faults = [] if live else [reason]
        if self._store is not None and self._release_id is None:
            faults.append(f"waiting for the first release: {self._store[0]() or 'the store has not answered yet'}")
        elif not self._jobs:
            faults.append("the first round is not over")
        faults += [fault for job, state in self._jobs.items() if (fault := self._fault(job, state))]
        return (False, f"not ready: {'; '.join(faults)}") if faults else (True, f"ready: {'; '.join(self._facts())}")

    def _fault(self, job: str, state: _JobState) -> str:
        if state.trouble and self._clock.monotonic_s() - state.trouble_s <= TROUBLE_S:
            return f"{job}: {state.trouble}"
        if not state.member:
            return f"{job} is not a member of its consumer group"
        return f"{job} rebuilds the state of {state.restoring} partitions" if state.restoring else ""

    def _facts(self) -> Iterator[str]:
        for job, state in self._jobs.items():
            yield f"{job}: {state.partitions} partitions" if state.rounds else job
        if self._store is not None:
            store_state, silent_s = self._store
            yield f"release {self._release_id}, {store_state()}, confirmed {silent_s():.1f} s ago"

    def _waits_for_release(self) -> bool:
        return self._store is not None and self._release_id is None


def pages_of(checks: Checks, registry: "CollectorRegistry") -> Callable[..., Iterable[bytes]]:
    """Return a WSGI application with the pages; every other path is 404."""
    from prometheus_client import make_wsgi_app

    metrics = make_wsgi_app(registry)
    answers = {"/startupz": checks.startupz, "/livez": checks.livez, "/readyz": checks.readyz}

    def pages(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path not in answers and path != "/metrics":
            there = ", ".join(("/metrics", *answers))
            return _answer(start_response, "404 Not Found", f"no page {path!r:.100}; there are {there}")
        try:
            if path == "/metrics":
                page: Iterable[bytes] = metrics(environ, start_response)
                return page
            well, line = answers[path]()
        except Exception:  # the server would print it, not log it
            log.exception("page_failed", path=path)
            return _answer(start_response, "500 Internal Server Error", "this page failed: see the log")
        return _answer(start_response, "200 OK" if well else "503 Service Unavailable", line)

    return pages


def _answer(start_response: Callable[..., Any], status: str, line: str) -> list[bytes]:
    start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
    return [line.encode(errors="replace") + b"\n"]


class _PageHandler(WSGIRequestHandler):
    timeout = CONNECTION_S  # of a connection that sends nothing

    def handle(self) -> None:
        """Answer a connection; one that is silent or closed is no error."""
        with suppress(TimeoutError, ConnectionError):
            super().handle()

    def log_message(self, format: str, *args: Any) -> None:
        """Keep probes out of the log."""


def serve_pages(settings: MetricsSettings, checks: Checks, registry: "CollectorRegistry") -> int:
    """Serve the pages on `metrics.port`, each connection in a thread; return the port.

    Raises UsageError when the port or the address cannot be used.
    """
    from prometheus_client.exposition import ThreadingWSGIServer

    try:
        family = socket.getaddrinfo(settings.address, settings.port, type=socket.SOCK_STREAM)[0][0]
        kind: type[WSGIServer] = type("PageServer", (ThreadingWSGIServer,), {"address_family": family})
        server = make_server(settings.address, settings.port, pages_of(checks, registry), kind, _PageHandler)
    except OSError as error:
        reason = f"metrics.port {settings.port} on {settings.address} cannot be used: {error.strerror}"
        raise UsageError(reason) from None
    Thread(target=server.serve_forever, name="pages", daemon=True).start()
    return server.server_port


def process_registry() -> "CollectorRegistry":
    """Return a registry with what is known of every process: its memory, processor time and garbage collection."""
    from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

    # In the library's global one a second job of this process could not register.
    registry = CollectorRegistry()
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)
    return registry


def note_version(registry: "CollectorRegistry") -> None:
    """Register the version that runs."""
    from prometheus_client import Info

    from stream_scorer import __version__

    Info("stream_scorer_build", "The version that runs", registry=registry).info({"version": __version__})
