"""`--ranker` on the command line: trained, judged, and what `evaluate` says of both stages."""

import json
from pathlib import Path

import pytest

from stream_scorer.adapters.files.model_files import read_model
from stream_scorer.simulation.price_tolerance import ToleranceWorld
from tests.unit.cli.commands import exit_code_of


def written(folder: Path, requests: int = 100) -> list[str]:
    """Write a log of the world of price tolerances, and return the options that name it."""
    world = ToleranceWorld.of(0, customers=40, offers=30)
    part = world.chunk(world.log(requests, 1), from_ms=1_700_000_000_000)
    labels, offers = folder / "labels.jsonl", folder / "offers.jsonl"
    rows = [
        {
            "request_id": f"r{part.request[row]}",
            "customer_id": part.customers.ids[part.customer[row]],
            "customer_features": part.customers.features[part.customer[row]],
            "offer_id": part.offers.ids[part.offer[row]],
            "offer_features": part.offers.features[part.offer[row]],
            "accepted": int(part.accepted[row]),
            "rank": int(part.rank[row]),
            "request_time_ms": int(part.request_time_ms[row]),
        }
        for row in range(len(part.customer))
    ]
    labels.write_text("".join(json.dumps(row) + "\n" for row in rows))
    catalog = [{"offer_id": one.offer_id, "features": dict(one.features)} for one in world.catalog()]
    offers.write_text("".join(json.dumps(row) + "\n" for row in catalog))
    return ["--labels", str(labels), "--offers", str(offers)]


def test_trees_are_trained_and_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log, out = written(tmp_path), str(tmp_path / "model")
    train = ["train", *log, "--out", out, "--ranker", "trees", "--epochs", "1", "--dim", "4", "--held-out", "0.3"]
    assert exit_code_of(monkeypatch, *train) == 0
    assert "re-ranker: trees of 8 leaves, 70 requests" in capsys.readouterr().out
    assert read_model(Path(out)).reranker is not None
    assert exit_code_of(monkeypatch, "evaluate", *log, "--model", out) == 0
    assert "two stages, within" in capsys.readouterr().out


def test_unknown_kinds_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "--labels", "l", "--offers", "o", "--out", str(tmp_path / "model"), "--ranker", "forest"]
    assert exit_code_of(monkeypatch, *words) == 2
    assert "one of auto, network, trees, got forest" in capsys.readouterr().err
