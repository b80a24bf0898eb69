"""Our own commands, run to their end."""

import subprocess
from collections.abc import Callable

from stream_scorer.adapters.local.own_command import python_command, without_settings

Done = subprocess.CompletedProcess[str]
Run = Callable[..., Done]
RUN_S_MAX = 250.0


def run(*words: str, **variables: str) -> Done:
    """Run a command with these settings and no others, and return its exit code and what it printed."""
    command, environment = python_command("stream_scorer", *words), {**without_settings(), **variables}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=RUN_S_MAX, check=False)
