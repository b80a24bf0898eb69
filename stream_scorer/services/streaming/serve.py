"""serve: rankers and joiners as processes of a command; whichever fails is started again, with a bound."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from stream_scorer.errors import StreamScorerError
from stream_scorer.ports import Clock

log = structlog.get_logger(__name__)

_GLANCE_S = 0.1


class Process(Protocol):
    """A running worker."""

    @property
    def pid(self) -> int:
        """Return its process id."""

    def poll(self) -> int | None:
        """Return its exit code, None while it runs."""

    def terminate(self) -> None:
        """Ask it to end."""

    def kill(self) -> None:
        """End it."""


@dataclass(frozen=True, slots=True)
class ServeBounds:
    """How often workers are started again, and how long they may take to end."""

    restarts_max: int
    restarts_within_s: float
    restart_delay_s: float
    stop_s: float


@dataclass(slots=True)
class _Worker:
    name: str
    process: Process
    start_at_s: float | None = None
    failed_s: deque[float] = field(default_factory=deque)


class Supervisor:
    """Keeps named workers running."""

    def __init__(
        self, names: Sequence[str], start: Callable[[str], Process], *, bounds: ServeBounds, clock: Clock
    ) -> None:
        self._start, self._bounds, self._clock = start, bounds, clock
        self._workers = [self._begin(name) for name in names]

    def _begin(self, name: str) -> _Worker:
        process = self._start(name)
        log.info("worker_started", worker=name, pid=process.pid)
        return _Worker(name, process)

    def run(self, *, stopping: Callable[[], bool]) -> None:
        """Watch until `stopping` or until every worker has ended by itself.

        Raises StreamScorerError when one keeps failing.
        """
        try:
            while self._workers and not stopping():
                self._look()
                self._clock.sleep(_GLANCE_S)
        finally:
            self._stop()

    def _look(self) -> None:
        for worker in list(self._workers):
            code = worker.process.poll()
            if code == 0:
                log.info("worker_ended", worker=worker.name)
                self._workers.remove(worker)
            elif code is not None:
                self._start_again(worker, code)

    def _start_again(self, worker: _Worker, code: int) -> None:
        now_s = self._clock.monotonic_s()
        if worker.start_at_s is None:
            self._note_failure(worker, code, now_s)
            worker.start_at_s = now_s + self._bounds.restart_delay_s
        elif now_s >= worker.start_at_s:
            worker.process, worker.start_at_s = self._start(worker.name), None
            log.info("worker_started", worker=worker.name, pid=worker.process.pid)

    def _note_failure(self, worker: _Worker, code: int, now_s: float) -> None:
        worker.failed_s.append(now_s)
        while now_s - worker.failed_s[0] > self._bounds.restarts_within_s:
            worker.failed_s.popleft()
        log.warning("worker_failed", worker=worker.name, exit_code=code, failures=len(worker.failed_s))
        if len(worker.failed_s) > self._bounds.restarts_max:
            msg = (
                f"{worker.name} failed {len(worker.failed_s)} times within {self._bounds.restarts_within_s:g} s "
                f"(at most {self._bounds.restarts_max} are tolerated), the last time with exit code {code}"
            )
            raise StreamScorerError(msg)

    def _stop(self) -> None:
        running = [worker.process for worker in self._workers if worker.process.poll() is None]
        for process in running:
            process.terminate()
        deadline_s = self._clock.monotonic_s() + self._bounds.stop_s
        while any(process.poll() is None for process in running) and self._clock.monotonic_s() < deadline_s:
            self._clock.sleep(_GLANCE_S)
        for process in running:
            if process.poll() is None:
                process.kill()
