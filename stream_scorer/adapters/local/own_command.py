"""Our own commands as processes."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from stream_scorer.adapters.local.own_process import OwnProcess


def python_command(module: str, *words: str) -> list[str]:
    """Return how this Python runs a module, `stream_scorer` for a command of ours."""
    return [sys.executable, "-m", module, *words]


def without_settings() -> dict[str, str]:
    """Return our variables less the settings among them, which may name another ring."""
    return {name: value for name, value in os.environ.items() if not name.upper().startswith("STREAM_SCORER_")}


class OwnCommand(OwnProcess):
    """A `stream-scorer` command with the settings of a file alone, which ends when we do."""

    def __init__(self, arguments: Sequence[str], *, config: Path, log: Path) -> None:
        """Start it where we are, so that paths mean to it what they mean to us."""
        self.arguments = tuple(arguments)
        command = python_command("stream_scorer", "--config", str(config.absolute()), *arguments)
        super().__init__(command, log=log.absolute(), environment=without_settings(), watched=True)
