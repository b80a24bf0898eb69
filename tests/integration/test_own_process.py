"""Processes of ours: they end when we want, when we end, and never outlive their bounds."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from stream_scorer.adapters.local import own_process
from stream_scorer.adapters.local.own_process import OwnProcess
from tests.waiting import wait_for

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(600)"
)
OWNER = """
import sys
from pathlib import Path
from stream_scorer.adapters.local.own_process import OwnProcess
folder = Path(sys.argv[1])
process = OwnProcess(["sleep", "600"], log=folder / "log", cwd=folder, watched=True, folder=folder)
print(process.pid, flush=True)
input()
"""


def started(tmp_path: Path, *command: str, watched: bool) -> OwnProcess:
    return OwnProcess(command, log=tmp_path / "log", watched=watched)


@pytest.mark.parametrize("watched", [False, True])
@pytest.mark.parametrize(("line", "code"), [("exit 0", 0), ("exit 3", 3), ("kill -KILL $$", -signal.SIGKILL)])
def test_the_exit_code_is_the_commands(tmp_path: Path, line: str, code: int, watched: bool) -> None:
    assert started(tmp_path, "sh", "-c", line, watched=watched).wait(30) == code


@pytest.mark.parametrize("watched", [False, True])
def test_a_stubborn_process_is_killed(tmp_path: Path, watched: bool) -> None:
    process = started(tmp_path, sys.executable, "-c", STUBBORN, watched=watched)
    wait_for(lambda: process.last_output() == "ready", "the process ignores SIGTERM")
    process.end(grace_s=0.2)
    assert process.poll() == -signal.SIGKILL


@pytest.mark.parametrize("watched", [False, True])
def test_a_frozen_process_ends_when_asked(tmp_path: Path, watched: bool) -> None:
    process = started(tmp_path, "sleep", "600", watched=watched)
    process.signal(signal.SIGSTOP)
    process.end()
    assert process.poll() == -signal.SIGTERM


@pytest.mark.parametrize("watched", [False, True])
def test_a_wait_has_its_bound(tmp_path: Path, watched: bool) -> None:
    with started(tmp_path, "sh", "-c", "echo busy; exec sleep 600", watched=watched) as process:
        wait_for(lambda: process.last_output() == "busy", "its first line")
        with pytest.raises(TimeoutError, match=r"sh has not ended within 0\.1 s: busy"):
            process.wait(0.1)


@pytest.mark.parametrize("watched", [False, True])
def test_a_missing_command_is_named(tmp_path: Path, watched: bool) -> None:
    with pytest.raises(OSError, match="no-such-command"):
        started(tmp_path, "no-such-command", watched=watched)


def test_only_the_last_run_is_quoted(tmp_path: Path) -> None:
    for text in ("first", "second"):
        process = started(tmp_path, "echo", text, watched=True)
        process.wait(30)
    assert (process.last_output(), process.last_output(3)) == ("second", "ond")


def sleeping(seconds: str) -> list[int]:
    """Return the ids of the processes that sleep for so long."""
    return [each.pid for each in psutil.process_iter(["cmdline"]) if each.info["cmdline"] == ["sleep", seconds]]


def test_an_owner_gone_deaf_leaves_nothing() -> None:
    unheard, answer = os.pipe()
    os.close(unheard)
    words = [sys.executable, "-I", own_process.__file__, str(os.getpid()), "", "sleep", "601.5"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=answer) as watcher:
        wait_for(lambda: bool(sleeping("601.5")) or watcher.poll() is not None, "the process")
        watcher.communicate(timeout=30)
    os.close(answer)
    assert sleeping("601.5") == []


def test_an_interrupted_start_leaves_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def interrupted(process: OwnProcess) -> int:
        wait_for(lambda: bool(sleeping("602.5")), "the process")
        raise KeyboardInterrupt

    monkeypatch.setattr(OwnProcess, "_watched_pid", interrupted)
    with pytest.raises(KeyboardInterrupt):
        started(tmp_path, "sleep", "602.5", watched=True)
    assert sleeping("602.5") == []


def test_a_killed_owner_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    folder.mkdir()
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    pid = int(owner.stdout.readline())
    owner.send_signal(signal.SIGKILL)
    owner.communicate()
    wait_for(lambda: not _runs(pid) and not folder.exists(), "the process and its folder go")


def _runs(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False
