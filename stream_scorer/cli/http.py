"""`stream-scorer http`."""

from typing import Annotated

import typer

from stream_scorer.cli.options import Instance, MetricsPort, of_setting, settings_of


def http(
    ctx: typer.Context,
    *,
    address: Annotated[str | None, of_setting("http.address")] = None,
    port: Annotated[int | None, of_setting("http.port", min=0, max=65_535)] = None,
    timeout: Annotated[float | None, of_setting("http.timeout_s")] = None,
    in_flight: Annotated[int | None, of_setting("http.in_flight_max", min=1)] = None,
    instance: Instance = None,
    metrics_port: MetricsPort = None,
) -> None:
    """Take requests and acceptances over HTTP, for programs without a client of Kafka, and answer with rankings.

    SIGTERM ends it when what is in flight is answered.
    """
    from stream_scorer.adapters.local.stopping import stop_signals
    from stream_scorer.http_door.running import run_http

    flags = {
        "http.address": address,
        "http.port": port,
        "http.timeout_s": timeout,
        "http.in_flight_max": in_flight,
        "loop.instance": instance,
        "metrics.port": metrics_port,
    }
    run_http(settings_of(ctx, flags), stopping=stop_signals())
