"""The demo as a person runs it: the embedded broker, Valkey, and our own commands as processes."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from stream_scorer.adapters.local.own_command import OwnCommand
from stream_scorer.demo.ring import prepare
from stream_scorer.errors import UsageError
from tests.processes import heed_ctrl_c
from tests.waiting import wait_for

START_S_MAX = 90.0


def demo(out: Path, *options: str) -> "subprocess.Popen[str]":
    """Run the demo beside its folder, which it is told by a relative path, as by default."""
    words = [sys.executable, "-m", "stream_scorer", "demo", "--out", out.name, *options]
    return subprocess.Popen(
        words,
        cwd=out.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_ctrl_c,  # noqa: PLW1509
    )


def left(out: Path) -> list[list[str]]:
    """Return the command lines of processes that work for a demo, the demo itself left out."""
    lines = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
    return [line for line in lines if str(out / "settings.toml") in line]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "out"


@pytest.fixture(scope="module")
def summary(out: Path) -> dict[str, Any]:
    running = demo(out, "--seconds", "24", "--retrainings", "1", "--json")
    stdout, stderr = running.communicate(timeout=280)
    assert running.returncode == 0, stderr
    parsed: dict[str, Any] = json.loads(stdout)
    return parsed


def test_the_demos_second_release_is_better(summary: dict[str, Any]) -> None:
    rates = [release["expected_rate"] for release in summary["releases"]]
    assert len(rates) == 2
    assert summary["popularity"] < rates[0] < rates[-1] < summary["best_possible"]


def test_the_demo_loses_nothing(summary: dict[str, Any]) -> None:
    assert summary["rankings"] == summary["requests"] > 1_000
    labels = summary["labels"]
    assert labels["accepted"] + labels.get("late_acceptance", 0) == summary["acceptances"] > 0
    assert summary["requests_without_final_labels"] == 0
    assert summary["dead_letters"] == {}


def test_the_demo_leaves_a_picture_alone(out: Path, summary: dict[str, Any]) -> None:
    assert (out.parent / summary["plot"]).read_bytes().startswith(b"\x89PNG")
    assert left(out) == []


@pytest.mark.parametrize(("command", "number"), [("train", signal.SIGTERM), ("join", signal.SIGINT)])
def test_an_interrupted_demo_stops_what_it_started(tmp_path: Path, command: str, number: signal.Signals) -> None:
    running = demo(tmp_path / "out")
    wait_for(lambda: any(command in line for line in left(tmp_path / "out")), f"a {command}", within_s=START_S_MAX)
    running.send_signal(number)
    _, stderr = running.communicate(timeout=120)
    assert "Traceback" not in stderr
    assert running.returncode == 128 + number
    assert left(tmp_path / "out") == []


def test_variables_do_not_reach_the_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAM_SCORER_KAFKA__BOOTSTRAP_SERVERS", "production:9092")
    (tmp_path / "settings.toml").write_text('[kafka]\nbootstrap_servers = "demo:1"\n')
    with OwnCommand(["settings"], config=tmp_path / "settings.toml", log=tmp_path / "log") as command:
        assert command.wait(60) == 0
    assert "demo:1" in command.last_output(10_000)
    assert "production" not in command.last_output(10_000)


def test_a_strangers_folder_is_not_emptied(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="contains something that no demo has written"):
        prepare(tmp_path)
    assert (tmp_path / "thesis.txt").exists()


def test_an_earlier_demos_folder_is_emptied(tmp_path: Path) -> None:
    prepare(tmp_path / "out")
    (tmp_path / "out" / "labels").mkdir()
    prepare(tmp_path / "out")
    assert not (tmp_path / "out" / "labels").exists()
