"""Exploration on the real ring: what a new model would earn, by captured labels, against the simulated world."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from pydantic import TypeAdapter

from stream_scorer.adapters.files.example_files import ExampleFiles
from stream_scorer.core.evaluation.judging import judge
from stream_scorer.core.evaluation.policies import ModelPolicy
from stream_scorer.core.evaluation.policy_value import policy_value
from stream_scorer.core.messages import Ranking
from stream_scorer.core.towers.model import Model
from stream_scorer.core.wire.codec import encode
from stream_scorer.services.learning.trainer import train_model
from stream_scorer.simulation.world import World
from stream_scorer.training.options import TrainOptions
from tests.ring import START_MS, Ring
from tests.world_truth import truth

WORLD = World.of(5, customers=200, offers=40, popularity_rate=0.6)
PLACES, REQUESTS = 3, 4_000
POLICY = ModelPolicy(temperature=0.25, floor=0.2, pool=40)
EXPLORING = {
    "STREAM_SCORER_RANK__EXPLORATION__TEMPERATURE": "0.25",
    "STREAM_SCORER_RANK__EXPLORATION__FLOOR": "0.2",
    "STREAM_SCORER_RANK__EXPLORATION__POOL": "40",
    "STREAM_SCORER_JOIN__WINDOW_MS": "5000",
    "STREAM_SCORER_JOIN__DISORDER_MS": "60000",
}


@pytest.fixture
def ring(ring: Ring, tmp_path: Path) -> Ring:
    ring.options["STREAM_SCORER_BUFFER__FOLDER"] = str(tmp_path / "labels")
    return ring


def trained(folder: Path, requests: int, seed: int) -> Model:
    path = folder / f"log-{requests}.jsonl"
    log = WORLD.log(np.random.default_rng(seed), requests, start_ms=0, random_share=1.0)
    path.write_bytes(b"".join(encode(example) + b"\n" for example in log))
    return train_model(ExampleFiles.at(path), WORLD.offers(), TrainOptions(dim=16)).model


def capture(ring: Ring, logs: Path) -> None:
    """Let customers ask, be shown what the ranker tries, and answer; label that and write it to files."""
    rng = np.random.default_rng(3)
    ring.send(
        ring.topics.requests,
        map(encode, WORLD.requests(rng, REQUESTS, start_ms=START_MS, rate_per_s=50.0, limit=PLACES)),
    )
    ring.run("rank", "--until-idle", "1", log=logs / "rank.log")
    ranked = [msgspec.json.decode(record.value or b"") for record in ring.read(ring.topics.rankings)]
    # The answers are drawn in order
    rankings = sorted(TypeAdapter(list[Ranking]).validate_python(ranked), key=lambda one: one.request_id)
    ring.send(ring.topics.acceptances, map(encode, WORLD.answers(rng, rankings)))
    for job in ("rank", "join", "buffer"):
        ring.run(job, "--until-idle", "1", log=logs / f"{job}.log")


def test_captured_labels_value_a_new_model(ring: Ring, tmp_path: Path) -> None:
    old, new = trained(tmp_path, 120, seed=1), trained(tmp_path, 3_000, seed=2)
    ring.publish(old, WORLD.offers())
    ring.options |= EXPLORING
    capture(ring, tmp_path)
    labels = ExampleFiles.at(tmp_path / "labels")
    judged = judge(new, WORLD.offers(), labels, ExampleFiles.at(tmp_path / "log-120.jsonl"), held_out=0.2)
    assert len(np.unique(judged.data.request[judged.rows])) > 0.8 * REQUESTS  # the others' windows have not closed yet
    value = policy_value(judged, POLICY, np.random.default_rng(0), ess_min=100.0, weight_max=1e9)
    assert value is not None
    found = value.to_json()
    true = truth(WORLD, new, POLICY, places=PLACES)
    assert found["mean_weight"] == pytest.approx(1.0, abs=0.1)
    assert found["logged"]["low"] < truth(WORLD, old, POLICY, places=PLACES) < found["logged"]["high"] < true
    for name in ("ips", "snips", "doubly_robust"):
        assert found[name]["low"] < true < found[name]["high"], (name, found[name], true)
