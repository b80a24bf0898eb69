"""`stream-scorer demo`."""

from pathlib import Path
from typing import Annotated

import typer

from stream_scorer.cli.options import Json


def demo(
    *,
    kafka: Annotated[
        bool, typer.Option("--kafka", help="Use a real Apache Kafka (needs Java 17), not the embedded broker.")
    ] = False,
    seconds: Annotated[
        float, typer.Option(min=15, max=3_600, help="For how long customers come, trainings not counted.")
    ] = 75.0,
    retrainings: Annotated[
        int,
        typer.Option(
            min=1, max=20, help="How often to train on the customers' answers; of several, the last has a re-ranker."
        ),
    ] = 2,
    out: Annotated[
        Path, typer.Option(help="Folder for plot, labels, models and logs; an earlier demo's is emptied.")
    ] = Path("out/demo"),
    seed: Annotated[int, typer.Option(min=0, help="Seed of the simulated shop.")] = 0,
    as_json: Json = False,
) -> None:
    """Run the whole ring on this machine and watch it learn: train, publish, serve, collect labels, train again.

    Customers are simulated, and their odds of accepting are known.
    """
    import json
    import signal
    import sys

    _require("torch", "pyarrow", "matplotlib")
    from stream_scorer.demo.screen import Screen
    from stream_scorer.demo.story import Plan, Story

    # An exit, unlike the signal alone, lets what was started be stopped in order.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    screen = Screen(sys.stderr if as_json else sys.stdout)
    summary = Story(Plan(out=out, seed=seed, seconds=seconds, retrainings=retrainings, kafka=kafka), screen).run()
    if as_json:
        print(json.dumps(summary.as_dict(), indent=2))
        return
    for line in summary.lines():
        screen.say(line)


def _require(*modules: str) -> None:
    """Raise UsageError at the start for a package that would be missing minutes later."""
    from importlib.util import find_spec

    from stream_scorer.errors import UsageError

    if missing := [name for name in modules if find_spec(name) is None]:
        raise UsageError(f"the demo needs {', '.join(missing)}: pip install '.[demo]'")
