"""Measures the processor time and memory of a process that we start."""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from stream_scorer.adapters.local.own_command import python_command, without_settings
from stream_scorer.adapters.local.own_process import OwnProcess
from stream_scorer.errors import TransientError

_LOOK_EVERY_S = 0.02
_KIB = 1024


@dataclass(frozen=True, slots=True)
class Usage:
    """What the whole process used, with all its threads."""

    processor_s: float
    memory_max_bytes: int


def start_bare(module: str, words: Sequence[str], *, log: Path) -> OwnProcess:
    """Start a module with the settings of its arguments alone: no STREAM_SCORER_ variable reaches it."""
    return OwnProcess(python_command(module, *words), log=log, environment=without_settings())


def measured(process: OwnProcess, timeout_s: float) -> Usage:
    """Wait for the process to end, and end it when the waiting is interrupted.

    Raises TransientError, with the end of its log, when it fails or takes too long.
    """
    deadline_s, peak_bytes = time.monotonic() + timeout_s, 0
    with process:
        while (code := process.poll()) is None:
            peak_bytes = max(peak_bytes, _peak_bytes(process.pid))
            if time.monotonic() > deadline_s:
                raise TransientError(f"not done in {timeout_s:g} s: {process.last_output()}")
            time.sleep(_LOOK_EVERY_S)
    if code:
        raise TransientError(f"ended with {code}: {process.last_output()}")
    return Usage(process.processor_s, peak_bytes)


def _peak_bytes(pid: int) -> int:
    """Return the peak resident memory, 0 where there is no /proc; ru_maxrss would include our own from the fork."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * _KIB
    return 0
