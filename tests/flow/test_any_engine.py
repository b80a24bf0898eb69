"""Models of other engines, made of programs, of vectors, or of both: they are evaluated and scored like any other."""

import io
import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from stream_scorer.adapters.files.model_files import read_model
from stream_scorer.cli import app
from stream_scorer.core.features.spec import Category, FeatureSpec
from stream_scorer.core.wire.codec import encode
from stream_scorer.errors import BadModel
from stream_scorer.simulation.world import World, customer_id, offer_id

WORLD = World.of(3, customers=80, offers=20, popularity_rate=0.5)
SIDES = {
    "customer": ([customer_id(row) for row in range(80)], WORLD.tastes),
    "offer": ([offer_id(row) for row in range(20)], WORLD.appeals),
}


class LookUp(torch.nn.Module):
    def __init__(self, vectors: np.ndarray[Any, Any]) -> None:
        super().__init__()
        rows = np.vstack([vectors.mean(axis=0), vectors]).astype(np.float32)
        self.rows = torch.nn.Embedding(len(rows), rows.shape[1], _weight=torch.from_numpy(rows))

    def forward(self, index: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.rows(index[:, 0])
        return made


def archive(side: str) -> bytes:
    ids, vectors = SIDES[side]
    spec = FeatureSpec("customer", (Category(f"{side}_id", tuple(ids), from_id=True),))
    declared, made = msgspec.json.encode({"inputs": spec.to_json()["inputs"]}).decode(), io.BytesIO()
    program = torch.export.export(LookUp(vectors), (torch.zeros(64, 1, dtype=torch.int64),))
    torch.export.save(program, made, extra_files={"inputs.json": declared})
    return made.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("engines")
    rng = np.random.default_rng(1)
    log = WORLD.log(rng, 800, start_ms=1_700_000_000_000, random_share=1.0)
    requests = WORLD.requests(rng, 5, start_ms=1_700_000_000_000, rate_per_s=1.0)
    for name, rows in {"labels": log, "offers": WORLD.offers(), "requests": requests}.items():
        (made / f"{name}.jsonl").write_bytes(b"".join(encode(row) + b"\n" for row in rows))  # type: ignore[attr-defined]
    for side, (ids, vectors) in SIDES.items():
        (made / f"{side}.pt2").write_bytes(archive(side))
        np.savez(made / f"{side}.npz", ids=np.array(ids), vectors=vectors)
    return made


def run(*words: str) -> str:
    done = CliRunner().invoke(app, words, catch_exceptions=False, env={"STREAM_SCORER_RANK__PROGRAMS": "allow"})
    assert done.exit_code == 0, done.output
    return done.stdout


def imported(folder: Path, *words: str) -> list[str]:
    run("import-towers", "--out", str(folder / "model"), *words)
    return ["--model", str(folder / "model"), "--offers", str(folder / "offers.jsonl")]


def figures(folder: Path, words: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run("evaluate", *words, "--labels", str(folder / "labels.jsonl"), "--json"))
    return found


def ranked(folder: Path, words: list[str]) -> list[list[str]]:
    run("score", *words, "--requests", str(folder / "requests.jsonl"), "--out", str(folder / "out.jsonl"))
    return [
        [one["offer_id"] for one in json.loads(line)["offers"]]
        for line in (folder / "out.jsonl").read_text().splitlines()
    ]


def given(folder: Path) -> list[str]:
    return ["--offer-vectors", str(folder / "offer.npz"), "--customer-vectors", str(folder / "customer.npz")]


def test_vectors_and_their_program_rank_alike(folder: Path) -> None:
    vectors = imported(folder, *given(folder), "--similarity", "cosine")
    by_vectors, order = figures(folder, vectors), ranked(folder, vectors)
    assert by_vectors["within_customer"]["all"]["above_popularity"]["low"] > 0
    programs = imported(
        folder, "--item-program", str(folder / "offer.pt2"), "--user-program", str(folder / "customer.pt2")
    )
    by_programs = figures(folder, programs)
    for part, figure in (("whole_catalog", "ndcg"), ("within_customer", "model")):
        assert by_programs[part]["all"][figure] == by_vectors[part]["all"][figure], part
    assert ranked(folder, programs) == order


def test_programs_need_the_settings_permission(folder: Path) -> None:
    words = ["--item-program", str(folder / "offer.pt2"), "--user-program", str(folder / "customer.pt2")]
    with pytest.raises(BadModel, match=r'rank\.programs is "deny"'):
        CliRunner().invoke(app, ["import-towers", "--out", str(folder / "denied"), *words], catch_exceptions=False)
    imported(folder, *words)
    for name in ("evaluate", "score"):
        inputs = ["--labels" if name == "evaluate" else "--requests", str(folder / "labels.jsonl")]
        words = [name, "--model", str(folder / "model"), "--offers", str(folder / "offers.jsonl"), *inputs]
        with pytest.raises(BadModel, match=r'rank\.programs is "deny"'):
            CliRunner().invoke(app, words, catch_exceptions=False)


def test_customers_vectors_precede_a_models_tower(folder: Path) -> None:
    few = folder / "few.npz"
    np.savez(few, ids=np.array(SIDES["customer"][0][:40]), vectors=SIDES["customer"][1][:40])
    items = ["--item-program", str(folder / "offer.pt2")]
    imported(folder, *items, "--user-program", str(folder / "customer.pt2"), "--customer-vectors", str(few))
    both = read_both(folder)
    imported(folder, *given(folder), "--similarity", "cosine")
    assert np.allclose(both, read_both(folder), atol=1e-6)


def read_both(folder: Path) -> np.ndarray[Any, Any]:
    """Return the vectors of two customers: the first has a given vector, the second is embedded by the program."""
    from stream_scorer.wiring.stores import open_program

    tower = read_model(folder / "model", open_program=open_program).user_tower
    return np.asarray(tower.embed([{}, {}], [customer_id(3), customer_id(70)]).vectors)
