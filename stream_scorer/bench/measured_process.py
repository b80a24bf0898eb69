"""A command of ours as a process whose use of the machine is measured when it ends."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from stream_scorer.errors import TransientError

_LOOK_EVERY_S = 0.02
_KIB = 1024


@dataclass(frozen=True, slots=True)
class Usage:
    """What the whole process used, all threads."""

    processor_s: float
    memory_max_bytes: int


class MeasuredProcess:
    """One run, with the settings of its arguments and of no STREAM_SCORER_ variable."""

    def __init__(self, module: str, arguments: Sequence[str], *, log: Path) -> None:
        """Start it; what it says goes to the end of `log`."""
        environment = {
            name: value for name, value in os.environ.items() if not name.upper().startswith("STREAM_SCORER_")
        }
        self._log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments], stdout=output, stderr=output, env=environment
            )

    def wait(self, timeout_s: float) -> Usage:
        """Wait for its end. Raises TransientError, with the end of its log, when it fails or is not done in time."""
        deadline_s, peak_bytes = time.monotonic() + timeout_s, 0
        while True:
            peak_bytes = max(peak_bytes, self._peak_bytes())
            pid, status, usage = os.wait4(self._process.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() > deadline_s:
                self._process.kill()
                raise TransientError(f"not done in {timeout_s:g} s: {self._said()}")
            time.sleep(_LOOK_EVERY_S)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        if self._process.returncode:
            raise TransientError(f"ended with {self._process.returncode}: {self._said()}")
        return Usage(usage.ru_utime + usage.ru_stime, peak_bytes)

    def _peak_bytes(self) -> int:
        """Return the peak resident memory, 0 where there is no /proc; ru_maxrss would include ours before the fork."""
        with suppress(OSError):
            for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * _KIB
        return 0

    def stop(self, timeout_s: float = 30.0) -> Usage:
        """End it as SIGTERM does, and wait."""
        self._process.send_signal(signal.SIGTERM)
        return self.wait(timeout_s)

    def _said(self) -> str:
        return self._log.read_text(errors="replace").strip()[-1_500:]
