"""Builds `serve`: a supervisor, its workers as processes, and the health and metrics pages for all of them."""

import socket
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

from prometheus_client import CollectorRegistry

from stream_scorer.adapters.local.clock import SystemClock
from stream_scorer.adapters.local.worker_process import WorkerProcesses
from stream_scorer.health import serve_pages
from stream_scorer.services.streaming.serve import ServeBounds, Supervisor
from stream_scorer.services.streaming.worker_pages import WorkerPages
from stream_scorer.settings import Settings
from stream_scorer.settings_sources import as_variables


def run_serve(
    settings: Settings,
    *,
    rankers: int,
    joiners: int,
    config: Path | None,
    flags: Mapping[str, object],
    stopping: Callable[[], bool],
    until_idle_s: float | None = None,
) -> None:
    """Run workers as processes until `stopping`, and serve the pages for all of them on `metrics.port`.

    The workers read the same configuration file and variables as this process. Its flags are passed on to them as
    variables.
    """
    names = [f"rank-{number}" for number in range(rankers)] + [f"join-{number}" for number in range(joiners)]
    instance = settings.loop.instance or f"{socket.gethostname()}-{uuid.uuid4().hex[:6]}"
    common = [] if config is None else ["--config", str(config)]
    ending = [] if until_idle_s is None else ["--until-idle", str(until_idle_s)]

    def variables(name: str, address: str, port: int) -> dict[str, str]:
        own = {"loop.instance": f"{instance}-{name}", "metrics.address": address, "metrics.port": port}
        return as_variables({**flags, **own})

    workers = WorkerProcesses(
        lambda name: [*common, name.partition("-")[0], *ending], variables, pages=settings.metrics.port != 0
    )
    serve, clock = settings.serve, SystemClock()
    if settings.metrics.port:
        pages = WorkerPages(names, workers, stalled_after_s=settings.metrics.stalled_after_s)
        registry = CollectorRegistry()
        registry.register(pages)
        serve_pages(settings.metrics, pages, registry)
    bounds = ServeBounds(serve.restarts_max, serve.restarts_within_s, serve.restart_delay_s, serve.stop_s)
    Supervisor(names, workers.start, bounds=bounds, clock=clock).run(stopping=stopping)
