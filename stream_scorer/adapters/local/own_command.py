"""A `stream-scorer` command as a process of its own, which ends when we do."""

import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from stream_scorer.adapters.local.kept_process import KeptProcess


class OwnCommand:
    """One run, with the settings of a file and of no STREAM_SCORER_ variable: those may name another ring."""

    def __init__(self, arguments: Sequence[str], *, config: Path, log: Path) -> None:
        """Start it where we are, so that paths mean what they mean here; what it says goes to the end of `log`."""
        self.arguments, self.log = tuple(arguments), log
        self._from = log.stat().st_size if log.exists() else 0
        self._folder = Path(tempfile.mkdtemp(prefix="stream-scorer-command-"))
        environment = {
            name: value for name, value in os.environ.items() if not name.upper().startswith("STREAM_SCORER_")
        }
        command = [sys.executable, "-m", "stream_scorer", "--config", str(config.absolute()), *arguments]
        self._process = KeptProcess(
            command, folder=self._folder, log=log.absolute(), environment=environment, cwd=Path.cwd()
        )

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self._process.pid

    def code(self) -> int | None:
        """Return the exit code, None while it runs."""
        return self._process.code()

    def said(self, characters: int = 1_500) -> str:
        """Return the end of what it said."""
        return self.log.read_bytes()[self._from :].decode(errors="replace").strip()[-characters:]

    def stop(self) -> None:
        """End it as SIGTERM does, so that it finishes what it has begun."""
        self._process.end()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
