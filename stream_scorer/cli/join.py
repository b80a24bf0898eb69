"""`stream-scorer join`."""

from typing import Annotated

import typer

from stream_scorer.cli.options import Delivery, Instance, MetricsPort, Parent, UntilIdle, of_setting, settings_of


def join(
    ctx: typer.Context,
    *,
    delivery: Delivery = None,
    emit: Annotated[
        str | None,
        of_setting(
            "join.emit", "at_once: labels as they become known; at_close: a single, final revision for each request."
        ),
    ] = None,
    until_idle: UntilIdle = None,
    instance: Instance = None,
    metrics_port: MetricsPort = None,
    parent: Parent = None,
) -> None:
    """Join rankings and outcomes to training labels, as a member of the joiners' consumer group.

    SIGTERM ends it when its batch is written.
    """
    from stream_scorer.adapters.local.stopping import stop_signals
    from stream_scorer.wiring.streaming import run_join

    settings = settings_of(
        ctx, {"loop.delivery": delivery, "join.emit": emit, "loop.instance": instance, "metrics.port": metrics_port}
    )
    run_join(settings, stopping=stop_signals(parent=parent), until_idle_s=until_idle)
