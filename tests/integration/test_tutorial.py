"""The tutorial's commands, run as they stand there, in an empty folder, on real servers."""

import os
import re
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from stream_scorer.adapters.local.own_command import without_settings
from stream_scorer.topic_settings import TopicSettings
from tests.ring import Ring

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "tutorial.md").read_text()
COMMANDS = re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
HANGS_S = 800.0
NAMES = ("requests", "acceptances", "offers", "rankings", "outcomes", "labels", "dead_letters")


@pytest.mark.timeout(900)  # a dozen commands, each of which takes seconds on a busy machine
def test_every_command_of_the_tutorial_runs(kafka: str, redis_url: str, tmp_path: Path) -> None:
    tag = uuid.uuid4().hex[:8]
    topics = TopicSettings(partitions=2, **{name: f"{name}-{tag}" for name in NAMES})  # type: ignore[arg-type]
    paths = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    tutorial = subprocess.Popen(
        ["bash", "-euxo", "pipefail", "-c", "\n".join(COMMANDS)],
        cwd=tmp_path,
        env={**without_settings(), **Ring(kafka, redis_url, topics).variables(), **paths},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # so that what it leaves in the background can be ended with it
    )
    try:
        printed, _ = tutorial.communicate(timeout=HANGS_S)
    finally:
        _end_group(tutorial.pid)
    assert tutorial.returncode == 0, printed[-6_000:]
    assert "120 rankings, " in printed
    assert "published: release r-" in printed


def _end_group(leader: int) -> None:
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        return


def test_only_the_installation_is_not_run() -> None:
    fences = re.findall(r"^```(\w+)", PAGE, re.MULTILINE)
    assert fences.count("bash") == 1
    assert set(fences) == {"bash", "sh", "text"}
    assert sum("stream-scorer " in each for each in COMMANDS) >= 7
