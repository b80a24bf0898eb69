"""`stream-scorer ui`."""

from typing import Annotated

import typer

from stream_scorer.cli.options import of_setting, settings_of


def ui(
    ctx: typer.Context,
    *,
    address: Annotated[str | None, of_setting("ui.address")] = None,
    port: Annotated[int | None, of_setting("ui.port", min=0, max=65_535)] = None,
    personal: Annotated[str | None, of_setting("ui.personal", "masked or shown.")] = None,
) -> None:
    """Show the ring in a browser: whether it is well, its pace, labels, releases, dead letters, a customer's rankings.

    It only reads, as a member of no group; brokers and Redis may be away.
    """
    from stream_scorer.adapters.local.stopping import stop_signals
    from stream_scorer.live_page.running import run_ui

    flags = {"ui.address": address, "ui.port": port, "ui.personal": personal}
    run_ui(settings_of(ctx, flags), stopping=stop_signals())
