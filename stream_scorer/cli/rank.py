"""`stream-scorer rank`."""

import typer

from stream_scorer.cli.options import Delivery, Instance, MetricsPort, Parent, UntilIdle, settings_of


def rank(
    ctx: typer.Context,
    *,
    delivery: Delivery = None,
    until_idle: UntilIdle = None,
    instance: Instance = None,
    metrics_port: MetricsPort = None,
    parent: Parent = None,
) -> None:
    """Rank offers for customers as requests arrive, as a member of the rankers' consumer group.

    SIGTERM ends it when its batch is written.
    """
    from stream_scorer.adapters.local.stopping import stop_signals
    from stream_scorer.wiring.streaming import run_rank

    settings = settings_of(ctx, {"loop.delivery": delivery, "loop.instance": instance, "metrics.port": metrics_port})
    run_rank(settings, stopping=stop_signals(parent=parent), until_idle_s=until_idle)
