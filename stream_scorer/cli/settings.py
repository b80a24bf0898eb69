"""`stream-scorer settings`."""

import typer

from stream_scorer.cli.options import Json, loaded_settings


def settings(ctx: typer.Context, *, as_json: Json = False) -> None:
    """Print every setting, its value, and where it came from; secrets are masked."""
    import json

    from stream_scorer.settings_sources import shown

    loaded = loaded_settings(ctx)
    if as_json:
        print(
            json.dumps(
                {name: {"value": value, "from": loaded.origins[name]} for name, value in shown(loaded.settings)},
                indent=2,
            )
        )
        return
    for name, value in shown(loaded.settings):
        print(f"{name:<28} {json.dumps(value):<40} {loaded.origins[name]}")
