"""`stream-scorer publish` as a person runs it, on a real server."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from stream_scorer.adapters.files.model_files import write_model
from stream_scorer.core.messages import Offer
from tests.release_samples import model, offer

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(redis_url: str, redis_prefix: str) -> Run:
    environment = {**os.environ, "STREAM_SCORER_REDIS__URL": redis_url, "STREAM_SCORER_REDIS__PREFIX": redis_prefix}

    def publish(*words: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "stream_scorer", "publish", *words]
        return subprocess.run(
            command, env={**environment, **variables}, capture_output=True, text=True, timeout=60, check=False
        )

    return publish


def files(folder: Path, seed: int, offers: list[Offer]) -> list[str]:
    """Write a model and its offers, and return the flags that name them."""
    write_model(folder / f"model-{seed}", model(seed))
    path = folder / f"offers-{seed}.jsonl"
    path.write_bytes(b"\n".join(map(msgspec.json.encode, offers)))
    return ["--model", str(folder / f"model-{seed}"), "--offers", str(path)]


def good(folder: Path, seed: int) -> list[str]:
    return files(folder, seed, [offer(number, features={"price": float(number - 3)}) for number in range(7)])


def test_published_and_rolled_back(run: Run, tmp_path: Path) -> None:
    ids = []
    for seed in (1, 2):
        (newest, *_) = json.loads(run(*good(tmp_path, seed), "--json").stdout)
        assert (newest["current"], newest["offers"], newest["forced"]) == (True, 7, [])
        ids.append(newest["release_id"])
    said = run("--rollback")
    assert said.returncode == 0
    assert [line.split()[:2] for line in said.stdout.splitlines()] == [[ids[0], "current"]]


def test_what_the_gate_refuses_is_said_and_may_be_forced(run: Run, tmp_path: Path) -> None:
    bad = files(tmp_path, 1, [offer(1), offer(2, features={"price": "dear"})])
    refused = run(*bad)
    assert refused.returncode == 1
    assert "1 of 2 offers have features that the item tower cannot read; the first is offer-2" in refused.stderr
    (forced,) = json.loads(run(*bad, "--force", "--json").stdout)
    assert forced["current"]
    assert "offer-2" in forced["forced"][0]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ([], "needs --model DIR and --offers PATH, or --rollback"),
        (["--model", "m"], "needs --model DIR and --offers PATH"),
        (["--rollback", "--force"], "--rollback takes no"),
        (["--model", "nowhere", "--offers", "nowhere"], "nowhere is not a model"),
    ],
)
def test_wrong_usage_is_told_apart(run: Run, words: list[str], reason: str) -> None:
    said = run(*words)
    assert said.returncode == 2
    assert reason in said.stderr


def test_a_rollback_with_nothing_before_fails_in_a_sentence(run: Run, tmp_path: Path) -> None:
    run(*good(tmp_path, 1))
    said = run("--rollback")
    assert (said.returncode, said.stderr) == (1, "stream-scorer: there is no earlier release to roll back to\n")


def test_a_store_that_is_away_fails_in_a_sentence(run: Run, tmp_path: Path) -> None:
    said = run(*good(tmp_path, 1), STREAM_SCORER_REDIS__URL="redis://127.0.0.1:1/0")
    assert said.returncode == 1
    assert said.stderr.splitlines()[-1].startswith("stream-scorer: redis: ")
    assert "Traceback" not in said.stderr
