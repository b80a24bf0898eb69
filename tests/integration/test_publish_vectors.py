"""Vectors alone are published, and ranked by, as any model."""

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest

from stream_scorer.adapters.redis.client import connect
from stream_scorer.adapters.redis.releases import RedisReleases
from stream_scorer.core.features.spec import Category, Number
from stream_scorer.core.messages import ReleaseId
from stream_scorer.core.releases.release import Release
from stream_scorer.training.program import open_program, program_tower
from tests.commands import Run
from tests.integration.test_publish_command import good, run
from tests.program_samples import archive
from tests.release_samples import DIM, model, offer

__all__ = ["run"]

OFFERS = {"offer-0": [2.0, 0.0], "offer-1": [0.0, 3.0], "offer-2": [1.0, 1.0]}
CUSTOMERS = {"ann": [0.0, 5.0]}


def lines(path: Path, rows: list[dict[str, object]]) -> str:
    path.write_bytes(b"\n".join(map(msgspec.json.encode, rows)))
    return str(path)


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """Flags that name three offers and their vectors."""
    offers = tmp_path / "offers.jsonl"
    offers.write_bytes(b"\n".join(msgspec.json.encode(offer(number)) for number in range(3)))
    vectors = lines(
        tmp_path / "vectors.jsonl", [{"offer_id": name, "vector": vector} for name, vector in OFFERS.items()]
    )
    return ["--offers", str(offers), "--offer-vectors", vectors]


def served(redis_url: str, redis_prefix: str, release_id: str) -> Release:
    client = connect(redis_url, timeout_s=20.0)
    store = RedisReleases(client, prefix=redis_prefix, expiry_s=100, changes_kept=10, open_program=open_program)
    release = store.load(ReleaseId(release_id))
    client.close()
    return release


def test_customers_are_looked_up(run: Run, words: list[str], tmp_path: Path, redis_url: str, redis_prefix: str) -> None:
    given = lines(
        tmp_path / "customers.jsonl", [{"customer_id": name, "vector": vector} for name, vector in CUSTOMERS.items()]
    )
    done = run(*words, "--customer-vectors", given, "--json")
    assert done.returncode == 0, done.stderr
    release = served(redis_url, redis_prefix, json.loads(done.stdout)[0]["release_id"])
    scores = release.user_tower.embed([{}], ["ann"]).vectors @ release.catalog.vectors.T
    assert np.allclose(scores, [[0.0, 1.0, 0.5**0.5]])


def test_a_request_brings_its_customers_vector(run: Run, words: list[str], redis_url: str, redis_prefix: str) -> None:
    done = run(*words, "--vector-feature", "taste", "--json")
    assert done.returncode == 0, done.stderr
    release = served(redis_url, redis_prefix, json.loads(done.stdout)[0]["release_id"])
    scores = release.user_tower.embed([{"taste": [7.0, 0.0]}], ["anybody"]).vectors @ release.catalog.vectors.T
    assert np.allclose(scores, [[1.0, 0.0, 0.5**0.5]])


def test_an_offer_without_a_vector_is_named(run: Run, words: list[str], tmp_path: Path) -> None:
    lines(tmp_path / "vectors.jsonl", [{"offer_id": name, "vector": OFFERS[name]} for name in ("offer-0", "offer-2")])
    refused = run(*words)
    assert refused.returncode == 1
    assert "1 of 3 offer vectors are zero: offer-1" in refused.stderr


def test_a_tower_fills_in_missing_customers(run: Run, tmp_path: Path, redis_url: str, redis_prefix: str) -> None:
    made = model(1)
    given = lines(tmp_path / "customers.jsonl", [{"customer_id": "ann", "vector": [1.0] + [0.0] * (DIM - 1)}])
    done = run(*good(tmp_path, 1), "--customer-vectors", given, "--json")
    assert done.returncode == 0, done.stderr
    tower = served(redis_url, redis_prefix, json.loads(done.stdout)[0]["release_id"]).user_tower
    features = [{"price": 2.0}, {"price": 2.0}]
    vectors = tower.embed(features, ["ann", "bob"]).vectors
    assert vectors[0].tolist() == [1.0] + [0.0] * (DIM - 1)
    assert np.array_equal(vectors[1], made.user_tower.embed(features, ["ann", "bob"]).vectors[1])


def test_programs_are_published_and_read_back(
    run: Run, words: list[str], tmp_path: Path, redis_url: str, redis_prefix: str
) -> None:
    (tmp_path / "item.pt2").write_bytes(
        archive(
            inputs=(
                Category("offer_id", ("offer-0", "offer-1"), from_id=True),
                Category("colour", ("red",)),
                Number("price"),
            )
        )
    )
    (tmp_path / "user.pt2").write_bytes(archive())
    programs = ["--item-program", str(tmp_path / "item.pt2"), "--user-program", str(tmp_path / "user.pt2")]
    denied = run(*words[:2], *programs)
    assert (denied.returncode, 'rank.programs is "deny"' in denied.stderr) == (1, True)
    done = run(*words[:2], *programs, "--allow-programs", "--json")
    assert done.returncode == 0, done.stderr
    tower = served(redis_url, redis_prefix, json.loads(done.stdout)[0]["release_id"]).user_tower
    made = program_tower(archive(), "customer").embed([{"age": 30.0}], ["ann"]).vectors
    assert np.array_equal(tower.embed([{"age": 30.0}], ["ann"]).vectors, made)


def test_two_item_towers_are_refused(run: Run) -> None:
    refused = run("--model", "m", "--offers", "o", "--offer-vectors", "v")
    assert refused.returncode == 2
    assert "--item-program or --offer-vectors may stand for --model" in refused.stderr
