"""A server of ours that ends when we do, even when we are killed: this file is imported, and run as the watcher between us and it.

The watcher reads a pipe whose other end only we hold. Its end, or ours, ends the server: asked first, killed after
`GRACE_S`. It works on Linux and macOS alike. Where we are gone without a word, the watcher removes the server's folder
too.
"""

import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

GRACE_S = 15.0
WATCH_S = 0.5


class KeptProcess:
    """One run of a server, in a process group of its own, so that Ctrl-C reaches us first."""

    def __init__(
        self,
        command: list[str],
        *,
        folder: Path,
        log: Path,
        environment: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        """Run `command` in `cwd`, by default in the folder that goes when we do."""
        with log.open("ab") as output:
            watcher = [sys.executable, "-I", __file__, str(os.getpid()), str(folder), *command]
            self._watcher = subprocess.Popen(
                watcher, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=output, cwd=cwd or folder, env=environment,
                start_new_session=True,
            )  # fmt: skip
        assert self._watcher.stdout is not None
        self.pid = int(self._watcher.stdout.readline())

    def running(self) -> bool:
        """Say whether the server has not ended yet."""
        return self.code() is None

    def code(self) -> int | None:
        """Return the exit code of the server, None before it ends."""
        return self._watcher.poll()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the server itself, such as SIGSTOP, SIGCONT, SIGKILL."""
        os.kill(self.pid, number)

    def end(self) -> None:
        """End the server; its folder stays."""
        if self.running():
            self._watcher.communicate(b"end", timeout=2 * GRACE_S)
        for pipe in (self._watcher.stdin, self._watcher.stdout):
            if pipe is not None:
                pipe.close()


def _watch(parent: int, folder: Path, command: list[str]) -> int:
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, start_new_session=True)
    sys.stdout.write(f"{server.pid}\n")
    sys.stdout.flush()
    told = None
    while server.poll() is None and told is None:
        if select.select([0], [], [], WATCH_S)[0]:
            told = os.read(0, 16)
        elif os.getppid() != parent:
            told = b""
    _end(server)
    if told == b"":
        shutil.rmtree(folder, ignore_errors=True)
    return server.returncode


def _end(server: "subprocess.Popen[bytes]") -> None:
    if server.poll() is None:
        server.terminate()
        server.send_signal(signal.SIGCONT)
    try:
        server.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


if __name__ == "__main__":
    sys.exit(_watch(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]))
