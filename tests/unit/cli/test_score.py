"""`score` says in a sentence what it cannot read or write."""

import gzip
import json
from pathlib import Path

import pytest

from stream_scorer.adapters.files.model_files import write_model
from tests.release_samples import model
from tests.unit.cli.commands import exit_code_of

REQUEST = json.dumps({"request_id": "r1", "customer_id": "c", "event_time_ms": 1, "features": {"price": 2.0}}).encode()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model, an offer and a request."""
    write_model(tmp_path / "model", model(1))
    (tmp_path / "offers.jsonl").write_text('{"offer_id":"o1","features":{"price":1.0,"colour":"red"}}')
    (tmp_path / "requests.jsonl").write_bytes(REQUEST)
    return tmp_path


def score(monkeypatch: pytest.MonkeyPatch, folder: Path, requests: str = "requests.jsonl", **places: str) -> int:
    words = [word for name, place in places.items() for word in (f"--{name}", place)]
    given = ("--model", str(folder / "model"), "--offers", str(folder / "offers.jsonl"))
    return exit_code_of(monkeypatch, "score", "--requests", str(folder / requests), *given, *words)


def test_readable_requests_are_ranked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert score(monkeypatch, folder, out=str(folder / "out.jsonl")) == 0
    assert json.loads((folder / "out.jsonl").read_text())["request_id"] == "r1"


@pytest.mark.parametrize("option", ["out", "dead-letters"])
def test_a_full_disk_is_a_sentence(
    option: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "requests.jsonl").write_bytes(REQUEST + b"\n{\n")
    assert score(monkeypatch, folder, **{"out": str(folder / "out.jsonl"), option: "/dev/full"}) == 1
    assert "/dev/full: No space left on device" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("torn.jsonl.gz", gzip.compress(REQUEST * 100)[:-20]),
        ("torn.parquet", b"PAR1 and no more"),
        ("torn.csv", b'request_id,customer_id,event_time_ms\nr1,"c'),
        ("bytes.parquet", bytes(range(256))),
    ],
)
def test_a_torn_file_is_wrong_usage(
    name: str, content: bytes, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / name).write_bytes(content)
    assert score(monkeypatch, folder, name, out=str(folder / "out.jsonl")) == 2
    assert name in capsys.readouterr().err
