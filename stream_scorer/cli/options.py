"""What several commands share: settings from flags, environment and file, and options of equal meaning."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stream_scorer.settings_shown import describe

if TYPE_CHECKING:
    from stream_scorer.settings import Settings
    from stream_scorer.settings_sources import Loaded


def of_setting(name: str, help: str | None = None, *, flag: str | None = None, **options: Any) -> Any:
    """Return an option that gives a setting: its help shows the setting's name and default, and what it means."""
    names = () if flag is None else (flag,)
    return typer.Option(*names, show_default=default_of(name), help=help or describe(name).meaning, **options)


def default_of(name: str) -> str:
    """Return a setting's name and default, for the help of an option that takes its default from there."""
    default = describe(name).default.strip('"')
    return f"{name}: {default}"


Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs to read.")]
Delivery = Annotated[str | None, of_setting("loop.delivery", "exactly_once or at_least_once.")]
UntilIdle = Annotated[
    float | None, typer.Option(min=0, show_default=False, help="End after this many seconds without a record.")
]
Instance = Annotated[str | None, of_setting("loop.instance")]
MetricsPort = Annotated[int | None, of_setting("metrics.port", min=0, max=65_535)]
FromBuffer = Annotated[
    bool,
    typer.Option("--from-buffer", help=f"In place of --labels: what the buffer wrote ({default_of('buffer.folder')})."),
]
Register = Annotated[
    str | None,
    typer.Option(
        "--mlflow", show_default=False, help="Log the model to MLflow, too, and register it under this name there."
    ),
]
BufferFolder = Annotated[str | None, of_setting("buffer.folder")]
Partitions = Annotated[int | None, of_setting("topics.partitions", "Partitions of each topic.", min=1)]
AllowPrograms = Annotated[
    bool,
    of_setting(
        "rank.programs", "Open towers that are programs of torch.export; see docs/trust.md.", flag="--allow-programs"
    ),
]
Parent = Annotated[int | None, typer.Option(hidden=True, help="End once the parent process has another id than this.")]


def loaded_settings(ctx: typer.Context, flags: Mapping[str, object] | None = None) -> "Loaded":
    """Return the settings and where each came from; `flags` are by the settings' names, None: not given."""
    from stream_scorer.settings_sources import load_settings

    return load_settings(given_flags(ctx, flags), file=ctx.obj["config"])


def given_flags(ctx: typer.Context, flags: Mapping[str, object] | None = None) -> dict[str, object]:
    """Return the settings that were given as flags, the global options included."""
    every = {**(flags or {}), "log.level": ctx.obj["log_level"]}
    return {name: value for name, value in every.items() if value is not None}


def programs_flag(allowed: bool) -> dict[str, object]:
    """Return the setting that --allow-programs stands for; none where it was not given."""
    return {"rank.programs": "allow" if allowed else None}


def refuse_given(ctx: typer.Context, names: Collection[str], why: str) -> None:
    """Raise UsageError, with the reason, where one of these parameters was given: it would have no effect."""
    from stream_scorer.errors import UsageError

    given = [
        option.opts[0]
        for option in ctx.command.params
        if option.name in names and getattr(ctx.get_parameter_source(option.name), "name", "") == "COMMANDLINE"
    ]
    if given:
        raise UsageError(f"{', '.join(given)} would do nothing: {why}")


def refuse_all_but(ctx: typer.Context, names: Collection[str], why: str) -> None:
    """Raise UsageError where any other parameter than these was given; see `refuse_given`."""
    refuse_given(ctx, {option.name for option in ctx.command.params if option.name is not None} - set(names), why)


def one_of(name: str, value: str, allowed: Sequence[str]) -> str:
    """Return the value. Raises UsageError, with the nearest of those allowed, where it is none of them."""
    from difflib import get_close_matches

    from stream_scorer.errors import UsageError

    if value in allowed:
        return value
    near = get_close_matches(value, allowed, n=1)
    meant = f": did you mean {near[0]}?" if near else ""
    raise UsageError(f"--{name} must be one of {', '.join(allowed)}, got {value}{meant}")


def labelled(ctx: typer.Context, labels: str | None, from_buffer: bool) -> str:
    """Return where the labels lie. Raises UsageError unless exactly one place is named."""
    from stream_scorer.errors import UsageError

    if (labels is None) != from_buffer:
        raise UsageError("name the labels: either --labels PATH, or --from-buffer, which reads buffer.folder")
    return labels or settings_of(ctx).buffer.folder


def check_writable(path: Path | None, option: str) -> None:
    """Raise UsageError, before any work is done, for a file that could not be written at its end.

    A file that exists is left as it is.
    """
    from stream_scorer.errors import UsageError

    if path is None:
        return
    fresh = not path.exists()
    try:
        with path.open("ab"):
            pass
    except OSError as error:
        raise UsageError(f"{option} {path} cannot be written: {error.strerror}") from error
    if fresh:
        path.unlink()


def settings_of(ctx: typer.Context, flags: Mapping[str, object] | None = None) -> "Settings":
    """Return the settings, and set up logging by them: `settings_of(ctx, {"loop.delivery": delivery})`.

    Flags go before variables, variables before the file. Raises UsageError for an unknown or invalid setting.
    """
    import socket

    from stream_scorer.logs import set_up_logging

    settings = loaded_settings(ctx, flags).settings
    command = ctx.command_path.split()[-1]
    set_up_logging(settings.log, instance=settings.loop.instance or f"{command}@{socket.gethostname()}")
    return settings
