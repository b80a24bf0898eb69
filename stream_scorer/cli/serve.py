"""`stream-scorer serve`."""

from typing import Annotated

import typer

from stream_scorer.cli.options import Delivery, UntilIdle, settings_of
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
) -> None:
    """Run rankers and joiners as processes of one command; one that fails is started again, with a bound."""
    from stream_scorer.adapters.local.stopping import stop_signals
    from stream_scorer.wiring import run_serve

    if not rankers + joiners:
        raise UsageError("serve needs at least one ranker or joiner, got --rankers 0 --joiners 0")
    settings = settings_of(ctx, {"loop.delivery": delivery})
    run_serve(
        settings,
        rankers=rankers,
        joiners=joiners,
        config=ctx.obj["config"],
        stopping=stop_signals(),
        until_idle_s=until_idle,
    )
