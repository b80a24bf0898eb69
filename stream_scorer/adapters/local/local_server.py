"""The life of a server of ours: a folder and a port of its own, and one process after another on them."""

import shutil
import signal
import tempfile
import time
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from tenacity import retry, retry_if_exception_type, stop_after_attempt

from stream_scorer.adapters.local.free_port import free_ports
from stream_scorer.adapters.local.own_process import OwnProcess
from stream_scorer.errors import NotReady

ATTEMPTS_MAX = 3
_LOOK_EVERY_S = 0.02


class StartedInWith(ABC):
    """Something that runs from `start` to `stop`, and for as long as a `with` lasts."""

    @abstractmethod
    def start(self) -> None:
        """Start it, fresh. Raises NotReady."""

    @abstractmethod
    def stop(self) -> None:
        """Stop it, and remove all that it left."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class _PortTaken(NotReady):
    """Another process was faster: a free port is only known to have been free."""


class LocalServer(StartedInWith):
    """One server on 127.0.0.1. What it keeps goes with it, and it ends with us, however we end."""

    port_taken: ClassVar[str] = "already in use"  # in the words of every operating system

    def __init__(self, name: str, *, start_s: float) -> None:
        """Name it in folders and errors; it must answer within `start_s`."""
        self._name, self._start_s = name, start_s
        self._folder: Path | None = None
        self._process: OwnProcess | None = None
        self.port = 0

    def _prepare(self, folder: Path) -> None:
        """Write into its folder what it needs before its first run."""

    @abstractmethod
    def _command(self, folder: Path) -> list[str]:
        """Return the command of a run on `port`."""

    @abstractmethod
    def _answers(self) -> bool:
        """Return whether it does its work now."""

    @property
    def folder(self) -> Path:
        """Return the folder of a server that was started."""
        assert self._folder is not None, "start() comes first"
        return self._folder

    @property
    def process(self) -> OwnProcess:
        """Return the process of a server that runs."""
        assert self._process is not None, f"{self._name} does not run"
        return self._process

    @retry(retry=retry_if_exception_type(_PortTaken), stop=stop_after_attempt(ATTEMPTS_MAX), reraise=True)
    def start(self) -> None:
        """Run a fresh server on a free port, and wait until it answers. Raises NotReady with the end of its log."""
        self._folder = Path(tempfile.mkdtemp(prefix=f"stream-scorer-{self._name}-"))
        (self.port,) = free_ports(1)
        try:
            self._prepare(self.folder)
            self.resume()
        except NotReady as trouble:
            self.stop()
            raise (_PortTaken if self.port_taken in str(trouble) else NotReady)(str(trouble)) from None

    def resume(self) -> None:
        """Run the server on the port and the folder that it has, after `halt` or `kill`. Raises NotReady."""
        command, log = self._command(self.folder), self.folder / f"{self._name}.log"
        try:
            self._process = OwnProcess(command, log=log, cwd=self.folder, watched=True, folder=self.folder)
        except OSError as error:
            raise NotReady(str(error)) from None
        deadline_s = time.monotonic() + self._start_s
        while not (self._answers() and self._process.running()):
            if time.monotonic() > deadline_s or not self._process.running():
                raise NotReady(
                    f"{self._name} does not answer on port {self.port} within {self._start_s:g} s: "
                    f"{without_traces(self._process.last_output(100_000))}"
                )
            time.sleep(_LOOK_EVERY_S)

    def running(self) -> bool:
        """Return whether the server is there."""
        return self._process is not None and self._process.running()

    def halt(self) -> None:
        """Stop the server in order; its folder stays."""
        if self._process is not None:
            self._process.end()
            self._process = None

    def kill(self) -> None:
        """End the server at once, as SIGKILL does; its folder stays."""
        self.process.kill()
        self.halt()

    def pause(self) -> None:
        """Freeze the server: connections stay, nothing answers, nothing is lost."""
        self.process.signal(signal.SIGSTOP)

    def unpause(self) -> None:
        """Let a frozen server go on."""
        self.process.signal(signal.SIGCONT)

    def stop(self) -> None:
        """End the server at once, since nothing of it stays, and remove its folder."""
        if self.running():
            self.kill()
        self.halt()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None


def without_traces(text: str) -> str:
    """Return the end of what a server wrote, without the lines of Java's stack traces: the reason stands above them."""
    return "\n".join(line for line in text.splitlines() if not line.startswith("\tat "))[-1_500:].strip()
