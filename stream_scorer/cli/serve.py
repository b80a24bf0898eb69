"""`stream-scorer serve`."""

from typing import Annotated

import typer

from stream_scorer.cli.options import Delivery, MetricsPort, UntilIdle, given_flags, settings_of
from stream_scorer.errors import UsageError

Rankers = Annotated[int, typer.Option(min=0, max=64, help="Ranker processes.")]
Joiners = Annotated[int, typer.Option(min=0, max=64, help="Joiner processes.")]


def serve(
    ctx: typer.Context,
    *,
    rankers: Rankers = 1,
    joiners: Joiners = 1,
    delivery: Delivery = None,
    until_idle: UntilIdle = None,
    metrics_port: MetricsPort = None,
) -> None:
    """Run rankers and joiners as child processes, and restart those that fail, a bounded number of times."""
    from stream_scorer.adapters.local.stopping import stop_signals
    from stream_scorer.wiring.serving import run_serve

    if not rankers + joiners:
        raise UsageError("serve needs at least one ranker or joiner, got --rankers 0 --joiners 0")
    flags = {"loop.delivery": delivery, "metrics.port": metrics_port}
    run_serve(
        settings_of(ctx, flags),
        rankers=rankers,
        joiners=joiners,
        config=ctx.obj["config"],
        flags=given_flags(ctx, flags),
        stopping=stop_signals(),
        until_idle_s=until_idle,
    )
