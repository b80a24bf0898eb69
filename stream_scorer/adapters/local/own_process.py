"""Processes that we start, watch over and end, and no others.

This file is imported, and run as the watcher that stands between us and those processes that must not outlive us. The
watcher reads a pipe whose other end only we hold, so that it notices our end however we end, SIGKILL included. It works
on Linux and macOS alike, and imports nothing of ours, so that it starts fast.
"""

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

GRACE_S = 15.0
_WATCH_S = 0.5
_LOOK_EVERY_S = 0.02


class OwnProcess:
    """One run of a command, in a session of its own: Ctrl-C reaches us alone, and we decide who ends when."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path | None = None,
        environment: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        watched: bool = False,
        folder: Path | None = None,
    ) -> None:
        """Start it. What it writes goes to the end of `log`, by default to where ours goes.

        A `watched` process ends when we do, even when we are killed; `folder` is then removed. Raises OSError where it
        cannot be started.
        """
        self.command, self.processor_s = tuple(command), 0.0
        self._log, self._from = log, log.stat().st_size if log is not None and log.exists() else 0
        self._code: int | None = None
        watcher = [sys.executable, "-I", __file__, str(os.getpid()), str(folder or "")] if watched else []
        with contextlib.nullcontext() if log is None else log.open("ab") as output:
            self._process = subprocess.Popen(
                [*watcher, *command],
                stdin=subprocess.PIPE if watched else subprocess.DEVNULL,
                stdout=subprocess.PIPE if watched else output,
                stderr=output,
                cwd=cwd,
                env=environment,
                start_new_session=True,
            )
        try:
            self.pid = self._watched_pid() if watched else self._process.pid
        except BaseException:  # an interruption, too: nobody has this process yet, so nobody else could end it
            self._close()
            self.wait(2 * GRACE_S)
            raise

    def _watched_pid(self) -> int:
        """Return the id of the process behind the watcher, which is its first line, and its last."""
        assert self._process.stdout is not None
        with self._process.stdout as answer:
            line = answer.readline()
        if not line:
            self._close()
            self.wait(GRACE_S)  # so that the watcher's last words are in the log
            raise OSError(f"{self.command[0]} could not be started: {self.last_output()}")
        return int(line)

    def poll(self) -> int | None:
        """Return the exit code, None while it runs; from its end on `processor_s` is what all its threads used."""
        if self._code is None:
            # not Popen's own poll(), which throws the usage away
            ended, status, usage = os.wait4(self._process.pid, os.WNOHANG)
            if ended:
                self._code = self._process.returncode = os.waitstatus_to_exitcode(status)
                self.processor_s = usage.ru_utime + usage.ru_stime
                self._close()
        return self._code

    def running(self) -> bool:
        """Return whether it has not ended yet."""
        return self.poll() is None

    def wait(self, timeout_s: float) -> int:
        """Wait for its end, and return the exit code. Raises TimeoutError."""
        deadline_s = time.monotonic() + timeout_s
        while (code := self.poll()) is None:
            if time.monotonic() > deadline_s:
                raise TimeoutError(f"{self.command[0]} has not ended within {timeout_s:g} s: {self.last_output()}")
            time.sleep(_LOOK_EVERY_S)
        return code

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, such as SIGSTOP, SIGCONT or SIGKILL, unless it has ended."""
        # it may end between the question and the signal, and its watcher outlives it by a moment
        with contextlib.suppress(ProcessLookupError):
            if self.running():
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end, by SIGTERM."""
        self.signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once, by SIGKILL."""
        self.signal(signal.SIGKILL)

    def end(self, grace_s: float = GRACE_S) -> None:
        """Ask it to end, frozen or not, and kill it with all that it started where it has not after `grace_s`."""
        self.terminate()
        self.signal(signal.SIGCONT)
        try:
            self.wait(grace_s)
        except TimeoutError:
            # its session is its own, so this group holds what it started and nobody else
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self.wait(grace_s)

    def last_output(self, characters: int = 1_500) -> str:
        """Return the end of what this run has written to its log; empty without a log."""
        if self._log is None or not self._log.exists():
            return ""
        return self._log.read_bytes()[self._from :].decode(errors="replace").strip()[-characters:]

    def _close(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()


def _watch(parent: int, folder: str, command: Sequence[str]) -> int:
    """Run a command until it ends or `parent` does; return its exit code."""
    # a byte in a pipe of ours says that a child has ended, so that select() waits for both ends at once
    ended, note = os.pipe()
    os.set_blocking(note, False)
    signal.set_wakeup_fd(note)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    answer = os.dup(1)
    os.dup2(2, 1)  # what the command writes goes to the log, and to our parent nothing but its id
    try:
        process = OwnProcess(command)
    except OSError as error:
        sys.exit(str(error))
    with contextlib.suppress(
        BrokenPipeError
    ):  # our parent was interrupted while it waited: below it is seen to be gone
        os.write(answer, f"{process.pid}\n".encode())
    os.close(answer)
    orphaned = False
    while process.running() and not orphaned:
        readable = select.select([0, ended], [], [], _WATCH_S)[0]
        if ended in readable:
            os.read(ended, 1)
        # nobody writes into standard input: it is readable once its other end is closed, which a fork of our parent may
        # keep open for longer than our parent lives
        orphaned = 0 in readable or os.getppid() != parent
    process.end()
    if orphaned and folder:
        shutil.rmtree(folder, ignore_errors=True)
    return process.wait(GRACE_S)


def _end_alike(code: int) -> None:
    """End as the process did that we stand for: by the same signal, or with the same code."""
    if code < 0:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code)


if __name__ == "__main__":
    _end_alike(_watch(int(sys.argv[1]), sys.argv[2], sys.argv[3:]))
