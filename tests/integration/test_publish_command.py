"""`stream-scorer publish` as a person runs it, on a real server."""

import json
from pathlib import Path

import msgspec
import pytest

from stream_scorer.adapters.files.model_files import write_model
from stream_scorer.core.messages import Offer
from tests import commands
from tests.commands import Done, Run
from tests.release_samples import model, offer


@pytest.fixture
def run(redis_url: str, redis_prefix: str) -> Run:
    places = {"STREAM_SCORER_REDIS__URL": redis_url, "STREAM_SCORER_REDIS__PREFIX": redis_prefix}

    def publish(*words: str, command: str = "publish", **variables: str) -> Done:
        return commands.run(*([command] if command else []), *words, **{**places, **variables})

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


def test_a_release_is_chosen_by_id(run: Run, tmp_path: Path) -> None:
    first, second = (json.loads(run(*good(tmp_path, seed), "--json").stdout)[0]["release_id"] for seed in (1, 2))
    chosen = run("--to", first, "--json")
    assert f"release {first} serves now; before it {second}" in chosen.stderr
    assert {each["release_id"]: each["place"] for each in json.loads(chosen.stdout)} == {first: 0, second: 1}
    unknown = run("--to", "r-0")
    assert (unknown.returncode, "r-0 has no manifest" in unknown.stderr) == (1, True)


def test_a_dry_run_judges_and_changes_nothing(run: Run, tmp_path: Path) -> None:
    dry = run(*good(tmp_path, 1), "--dry-run")
    assert (dry.returncode, "the gate passes it" in dry.stdout) == (0, True)
    refused = run(*files(tmp_path, 2, [offer(1), offer(2, features={"price": "dear"})]), "--dry-run", "--json")
    assert refused.returncode == 1
    assert "offer-2" in json.loads(refused.stdout)["faults"][0]
    assert run("releases", command="").stdout == ""


def test_releases_are_listed_with_their_figures(run: Run, tmp_path: Path) -> None:
    words = good(tmp_path, 1)
    manifest = tmp_path / "model-1" / "manifest.json"
    facts = {"held_out_auc": {"within_customer": 0.7, "customers": 90}, "popularity_auc": {"within_customer": 0.6}}
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "facts": facts}))
    run(*words)
    run(*good(tmp_path, 2))
    newest, oldest = run("releases", command="").stdout.splitlines()
    assert newest.split()[1] == "current"
    assert "before" in oldest
    assert oldest.endswith("AUC within customer 0.700, popularity 0.600, 90 customers")
    assert "7 offers  model m-" in oldest


def test_a_refused_release_may_be_forced(run: Run, tmp_path: Path) -> None:
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
        (["--rollback", "--force"], "--force would do nothing"),
        (["--model", "nowhere", "--offers", "nowhere"], "nowhere is not a model"),
    ],
)
def test_wrong_usage_is_told_apart(run: Run, words: list[str], reason: str) -> None:
    said = run(*words)
    assert said.returncode == 2
    assert reason in said.stderr


def test_a_first_release_has_no_rollback(run: Run, tmp_path: Path) -> None:
    run(*good(tmp_path, 1))
    said = run("--rollback")
    assert (said.returncode, said.stderr) == (1, "stream-scorer: there is no earlier release to roll back to\n")


def test_a_store_away_is_a_sentence(run: Run, tmp_path: Path) -> None:
    said = run(*good(tmp_path, 1), STREAM_SCORER_REDIS__URL="redis://127.0.0.1:1/0")
    assert said.returncode == 1
    assert said.stderr.splitlines()[-1].startswith("stream-scorer: redis: ")
    assert "Traceback" not in said.stderr
