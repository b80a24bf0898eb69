"""`stream-scorer settings`."""

from typing import TYPE_CHECKING, Annotated

import typer

from stream_scorer.cli.options import Json, loaded_settings

if TYPE_CHECKING:
    from stream_scorer.settings_sources import Loaded


def settings(
    ctx: typer.Context,
    *,
    describe: Annotated[
        bool, typer.Option("--describe", help="Print type, unit, default and meaning of every setting.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Print every setting, its value and where it came from, secrets masked."""
    if describe:
        _describe(as_json=as_json)
    else:
        _print(loaded_settings(ctx), as_json=as_json)


def _describe(*, as_json: bool) -> None:
    import json
    from dataclasses import asdict

    from stream_scorer.settings_shown import described

    if as_json:
        print(json.dumps({each.name: asdict(each) for each in described()}, indent=2))
        return
    for each in described():
        kind = each.type + (f", {each.unit}" if each.unit else "")
        print(f"{each.name}\n    {each.meaning}\n    {kind}; default {each.default}")


def _print(loaded: "Loaded", *, as_json: bool) -> None:
    import json
    import sys

    from stream_scorer.settings_shown import shown

    if loaded.passed_over:
        note = f"ignored, because Kubernetes sets them for a Service: {', '.join(loaded.passed_over)}"
        print(f"stream-scorer: {note}", file=sys.stderr)
    if as_json:
        values = {name: {"value": value, "from": loaded.origins[name]} for name, value in shown(loaded.settings)}
        print(json.dumps(values, indent=2))
        return
    for name, value in shown(loaded.settings):
        print(f"{name:<28} {json.dumps(value):<40} {loaded.origins[name]}")
