"""`stream-scorer refresh`."""

import typer

from stream_scorer.cli.options import Delivery, Json, MetricsPort, UntilIdle, settings_of


def refresh(
    ctx: typer.Context,
    *,
    delivery: Delivery = None,
    until_idle: UntilIdle = None,
    metrics_port: MetricsPort = None,
    as_json: Json = False,
) -> None:
    """Apply changes on the offers topic, new and withdrawn offers included, to the current release within a second."""
    import json

    from stream_scorer.adapters.local.stopping import stop_signals
    from stream_scorer.wiring.streaming import run_refresh

    settings = settings_of(ctx, {"loop.delivery": delivery, "metrics.port": metrics_port})
    counts = run_refresh(settings, stopping=stop_signals(), until_idle_s=until_idle)
    if as_json:
        print(json.dumps(counts))
    else:
        print(", ".join(f"{count:,} {what.replace('_', ' ')}" for what, count in counts.items()))
