"""The door's metrics of Prometheus, and the state of its loop for /livez, /readyz and /startupz."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from stream_scorer.health import Check
from stream_scorer.ports import Clock
from stream_scorer.telemetry.messaging import SECONDS

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry


class DoorMetrics:
    """How many requests were answered, how, and in what time; and how many are in flight."""

    def __init__(self, registry: "CollectorRegistry") -> None:
        """Register."""
        from prometheus_client import Counter, Gauge, Histogram

        self._answered = Counter(
            "stream_scorer_http_requests_total",
            "Requests over HTTP by status; 0: given up before an answer",
            ("path", "status"),
            registry=registry,
        )
        self._seconds = Histogram(
            "stream_scorer_http_request_seconds",
            "Time from a request's head to the end of its answer",
            ("path",),
            registry=registry,
            buckets=SECONDS,
        )
        self._in_flight = Gauge(
            "stream_scorer_http_requests_in_flight", "Requests over HTTP without an answer yet", registry=registry
        )

    def answered(self, path: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._answered.labels(path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def in_flight(self, count: int) -> None:
        """Note how many requests are in flight."""
        self._in_flight.set(count)


class DoorHealth:
    """See Checks. `trouble` says what keeps rankings from coming; safe to call from any thread."""

    def __init__(self, clock: Clock, *, stalled_after_s: float) -> None:
        """Know of no round yet."""
        self._clock, self._stalled_after_s = clock, stalled_after_s
        self._round_s: float | None = None
        self._trouble: Callable[[], str] = str
        self.draining = False

    def begin(self, trouble: Callable[[], str]) -> None:
        """Note that requests are taken from now on."""
        self._trouble = trouble
        self.came_round()

    def came_round(self) -> None:
        """Note a round of the loop."""
        self._round_s = self._clock.monotonic_s()

    def startupz(self) -> Check:
        """See Checks."""
        return (False, "no request is taken yet") if self._round_s is None else (True, "started")

    def livez(self) -> Check:
        """See Checks: brokers that are away do not make the loop stand still."""
        stalled = self._round_s is not None and self._clock.monotonic_s() - self._round_s > self._stalled_after_s
        return (False, "stalled: http") if stalled else (True, "live")

    def readyz(self) -> Check:
        """See Checks."""
        checks = (self.startupz(), self.livez())
        faults = [line for well, line in checks if not well]
        faults += ["draining"] if self.draining else []
        faults += [trouble] if (trouble := self._trouble()) else []
        return (False, f"not ready: {'; '.join(faults)}") if faults else (True, "ready: http")
