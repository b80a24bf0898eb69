"""The commands `train` and `evaluate`, from files to figures, as a person or a program calls them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner, Result

from stream_scorer.cli import app
from stream_scorer.core.wire.codec import encode
from stream_scorer.errors import UsageError
from stream_scorer.simulation.world import World
from stream_scorer.training.lesson import device_of

WORLD = World.of(3, customers=150, offers=40, popularity_rate=0.5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("files")
    log = WORLD.log(np.random.default_rng(1), 1_500, start_ms=1_700_000_000_000, random_share=1.0)
    (made / "labels.jsonl").write_bytes(b"".join(encode(example) + b"\n" for example in log))
    (made / "offers.jsonl").write_bytes(b"".join(encode(offer) + b"\n" for offer in WORLD.offers()))
    return made


def run(*words: str) -> Result:
    return CliRunner().invoke(app, words, catch_exceptions=False)


def trained(folder: Path, *more: str) -> dict[str, Any]:
    files = (
        "--labels",
        str(folder / "labels.jsonl"),
        "--offers",
        str(folder / "offers.jsonl"),
        "--out",
        str(folder / "model"),
    )
    found: dict[str, Any] = json.loads(run("train", *files, "--json", *more).stdout)
    return found


def evaluated(folder: Path, *more: str) -> Result:
    files = (
        "--labels",
        str(folder / "labels.jsonl"),
        "--offers",
        str(folder / "offers.jsonl"),
        "--model",
        str(folder / "model"),
    )
    return run("evaluate", *files, *more)


def test_models_are_measured_on_held_out_labels(folder: Path) -> None:
    told = trained(folder)
    found = json.loads(evaluated(folder, "--json").stdout)
    assert found["model_id"] == told["model_id"]
    assert found["rows"] == told["facts"]["held_out_rows"]
    assert found["within_customer"]["all"]["model"]["value"] == pytest.approx(
        told["facts"]["held_out_auc"]["within_customer"]
    )
    assert told["facts"]["device"] == device_of("auto").type
    assert [epoch["number"] for epoch in told["history"]] == list(range(1, told["facts"]["epochs"] + 1))


def test_people_are_told_in_words(folder: Path) -> None:
    trained(folder, "--epochs", "2")
    words = evaluated(folder, "--k", "5", "--against", str(folder / "model")).stdout
    assert words.startswith("publish: ")
    assert "paired by customer" in words
    assert "+0.0000 [+0.0000, +0.0000]" in words
    assert "whole catalog, first 5" in words
    assert "AUC within customer" in words
    assert "off-policy, acceptances per ranking" in words


def test_comparisons_need_a_model() -> None:
    with pytest.raises(UsageError, match="--against compares two models: it needs --model"):
        run("evaluate", "--labels", "l", "--offers", "o", "--policy", "p", "--against", "m")


def test_the_same_seed_gives_the_same_model(folder: Path) -> None:
    assert trained(folder, "--epochs", "2")["model_id"] == trained(folder, "--epochs", "2")["model_id"]


def test_facts_state_search_and_warm_start(folder: Path) -> None:
    first = trained(folder, "--tune", "--tune-seconds", "1", "--epochs", "200", "--threads", "1")
    assert first["facts"]["tuning"]["outcome"].startswith("nothing was searched: one training takes about")
    assert first["facts"]["tuned"] == []
    second = trained(folder, "--warm-start", str(folder / "model"), "--epochs", "1")
    assert second["facts"]["earlier_model_id"] == first["model_id"]


def test_a_foreign_folder_is_refused_before_training(folder: Path) -> None:
    files = ("--labels", "s3://nowhere/labels", "--offers", "none.jsonl", "--out", str(folder))
    with pytest.raises(UsageError, match="is there and is no model"):
        run("train", *files)


@pytest.mark.parametrize(
    ("flag", "value"), [("--objective", "clicks"), ("--customer-id", "maybe"), ("--device", "abacus"), ("--dim", "0")]
)
def test_wrong_words_are_wrong_usage(folder: Path, flag: str, value: str) -> None:
    with pytest.raises(UsageError, match=flag.strip("-")):
        trained(folder, flag, value)


def test_missing_gpus_are_refused_before_reading(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    absent = str(tmp_path / "absent.jsonl")
    with pytest.raises(UsageError, match="device must be cpu or auto here, got cuda"):
        run("train", "--labels", absent, "--offers", absent, "--out", str(tmp_path / "model"), "--device", "cuda")


def test_history_beside_features_is_refused(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"--history would do nothing: .* and these have features .age, "):
        trained(folder, "--history")


def test_the_catalog_fills_missing_offer_features(folder: Path, tmp_path: Path) -> None:
    trained(folder, "--epochs", "1")
    rows = [json.loads(line) for line in (folder / "labels.jsonl").read_text().splitlines()]
    for name, kept in (("whole", rows), ("bare", [{**row, "offer_features": {}} for row in rows])):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, kept)))
    files = ("--offers", str(folder / "offers.jsonl"), "--model", str(folder / "model"), "--json")
    whole, bare = (
        json.loads(run("evaluate", "--labels", str(tmp_path / f"{name}.jsonl"), *files).stdout)
        for name in ("whole", "bare")
    )
    assert bare["within_customer"] == whole["within_customer"]
