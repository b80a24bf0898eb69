"""Whatever is wrong with a place, file or setting, a command ends with 0, 1 or 2 and a sentence, not a traceback."""

import json
import os
import sys
from pathlib import Path

import pytest

from stream_scorer import cli

GARBAGE = bytes(range(256)) * 20
LABEL = {
    "example_id": "e", "request_id": "r", "customer_id": "c", "offer_id": "o-1", "accepted": 1,
    "customer_features": {"age": 3.0}, "offer_features": {"price": 2.0}, "request_time_ms": 1_000, "revision": 1,
}  # fmt: skip
NOWHERE = {  # nobody answers there, and says so at once
    "STREAM_SCORER_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1",
    "STREAM_SCORER_REDIS__URL": "redis://127.0.0.1:1/0",
    "STREAM_SCORER_REDIS__TIMEOUT_S": "0.2",
}

PLACES = [
    "missing",
    "empty",
    "file",
    "bytes.jsonl",
    "bytes.csv",
    "bytes.parquet",
    "torn.jsonl",
    "null.jsonl",
    "deep.jsonl",
]
PLACES += ["file/inside", "bytes.jsonl.gz", "none.csv", "/dev/null", "/proc/self/mem"]
OUTS = ["file/inside", "/proc/nowhere/model", "/dev/full", "file"]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder with a file of each kind of trouble, and one of each that is right."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.upper().startswith("STREAM_SCORER_"):
            monkeypatch.delenv(name)
    for name, value in NOWHERE.items():
        monkeypatch.setenv(name, value)
    Path("empty").mkdir()
    for name in ("file", "bytes.jsonl", "bytes.csv", "bytes.parquet", "bytes.jsonl.gz"):
        Path(name).write_bytes(GARBAGE)
    Path("none.csv").write_text("")
    Path("torn.jsonl").write_text('{"offer_id": "o-1", "features": {"pri')
    Path("null.jsonl").write_text("null\n")
    Path("deep.jsonl").write_text("[" * 50_000)
    Path("labels.jsonl").write_text(json.dumps(LABEL))
    Path("offers.jsonl").write_text(json.dumps({"offer_id": "o-1", "features": {"price": 2.0}}))
    Path("request.jsonl").write_text(
        json.dumps({"request_id": "r", "customer_id": "c", "event_time_ms": 1, "features": {}})
    )


def run(words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Run a command in this process: an exception that would be a traceback fails the test."""
    monkeypatch.setattr(sys, "argv", ["stream-scorer", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    code, said = int(ended.value.code or 0), capsys.readouterr()
    assert code in {0, 1, 2}, said.err
    assert "Traceback" not in said.err
    assert code == 0 or said.err.strip() or said.out.strip()
    return code, said.err


READERS = {
    "train labels": ["train", "--labels", "{}", "--offers", "offers.jsonl", "--out", "model"],
    "train offers": ["train", "--labels", "labels.jsonl", "--offers", "{}", "--out", "model"],
    "train warm start": [
        "train", "--labels", "labels.jsonl", "--offers", "offers.jsonl", "--out", "model", "--warm-start", "{}",
    ],
    "evaluate model": ["evaluate", "--model", "{}", "--labels", "labels.jsonl", "--offers", "offers.jsonl"],
    "evaluate policy": ["evaluate", "--policy", "{}", "--labels", "labels.jsonl", "--offers", "offers.jsonl"],
    "publish model": ["publish", "--model", "{}", "--offers", "offers.jsonl"],
    "publish vectors": ["publish", "--offer-vectors", "{}", "--offers", "offers.jsonl"],
    "import vectors": ["import-towers", "--offer-vectors", "{}", "--customer-vectors", "{}", "--out", "model"],
    "import programs": [
        "import-towers", "--user-program", "{}", "--item-program", "{}", "--out", "model", "--allow-programs",
    ],
    "import h2o": ["import-h2o", "--user", "{}", "--item", "{}", "--out", "model"],
    "score model": ["score", "--requests", "request.jsonl", "--model", "{}", "--offers", "offers.jsonl"],
    "score requests": ["score", "--requests", "{}", "--model", "missing", "--offers", "offers.jsonl"],
    "check offers": ["check", "--offers", "{}"],
    "check labels": ["check", "--labels", "{}", "--offers", "offers.jsonl"],
    "check requests": ["check", "--requests", "{}", "--offers", "offers.jsonl"],
    "check model": ["check", "--requests", "request.jsonl", "--offers", "offers.jsonl", "--model", "{}"],
    "retrain labels": ["retrain", "--labels", "{}", "--offers", "offers.jsonl", "--out", "model"],
    "convert": ["convert", "open-bandit", "{}", "--out", "events"],
    "config": ["--config", "{}", "settings"],
}  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("words", READERS.values(), ids=READERS)
def test_unreadable_places_give_a_sentence(
    words: list[str], place: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run([word.format(place) for word in words], monkeypatch, capsys)


WRITERS = {
    "train": ["train", "--labels", "labels.jsonl", "--offers", "offers.jsonl", "--out", "{}"],
    "retrain": ["retrain", "--labels", "labels.jsonl", "--offers", "offers.jsonl", "--out", "{}"],
    "import-h2o": ["import-h2o", "--user", "missing", "--item", "missing", "--out", "{}"],
    "import-towers": ["import-towers", "--offer-vectors", "missing", "--out", "{}"],
    "convert": ["convert", "open-bandit", "empty", "--out", "{}"],
    "buffer": ["buffer", "--folder", "{}"],
    "buffer compact": ["buffer", "--compact", "--folder", "{}"],
    "erase": ["erase", "--customer", "c", "--folder", "{}", "--dry-run"],
}


@pytest.mark.parametrize("out", OUTS)
@pytest.mark.parametrize("words", WRITERS.values(), ids=WRITERS)
def test_unwritable_places_give_a_sentence(
    words: list[str], out: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _ = run([word.format(out) for word in words], monkeypatch, capsys)
    assert code in {1, 2}


@pytest.mark.parametrize("command", ["import-h2o", "import-towers"])
def test_imports_try_their_folder_first(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, errors = run([word.format("file/inside") for word in WRITERS[command]], monkeypatch, capsys)
    assert code == 2
    assert "file/inside cannot be written" in errors


def test_retrain_refuses_missing_labels(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["retrain", "--labels", "missing", "--offers", "offers.jsonl", "--out", "model"]
    assert run(words, monkeypatch, capsys)[0] == 2


NEEDED = {
    "train": ["--labels", "labels.jsonl", "--offers", "offers.jsonl", "--out", "model"],
    "check": ["--labels", "labels.jsonl"],
    "evaluate": ["--labels", "labels.jsonl", "--offers", "offers.jsonl", "--model", "m"],
    "import-h2o": ["--user", "u", "--item", "i", "--out", "model"],
    "import-towers": ["--out", "model"],
    "retrain": ["--offers", "offers.jsonl", "--out", "model"],
    "score": ["--requests", "request.jsonl"],
    "replay": ["request.jsonl", "--topic", "t"],
    "convert": ["open-bandit", "empty", "--out", "model"],
    "erase": ["--customer", "c"],
    "dead-letters": ["list"],
}
TOML = {
    "not TOML": "loop",
    "a key twice": "a = 1\na = 1",
    "no such setting": "loop.pol_s = 1",
    "of another type": 'loop.poll_s = "soon"',
    "out of bounds": "metrics.port = 70000",
    "a table": "kafka = 3",
}


@pytest.mark.parametrize("text", TOML.values(), ids=TOML)
@pytest.mark.parametrize("command", cli.COMMANDS)
def test_commands_refuse_wrong_settings_files(
    command: str, text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("s.toml").write_text(text)
    code, said = run(["--config", "s.toml", command, *NEEDED.get(command, [])], monkeypatch, capsys)
    assert code == 2
    assert "s.toml" in said


@pytest.mark.parametrize("command", sorted(set(cli.COMMANDS) - {"demo", "bench"}))  # which go by no variable
def test_commands_refuse_unknown_variables(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STREAM_SCORER_LOOP__POL_S", "1")
    code, said = run([command, *NEEDED.get(command, [])], monkeypatch, capsys)
    assert code in {1, 2}
    assert (
        command in {"train", "evaluate", "convert", "import-h2o", "import-towers"}
        or "STREAM_SCORER_LOOP__POLL_S" in said
    )
