"""`stream-scorer retrain` as a schedule runs it: labels on an S3 server, releases in a real Valkey."""

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyarrow import fs

from stream_scorer.adapters.redis.client import connect
from stream_scorer.adapters.redis.releases import RedisReleases
from stream_scorer.core.messages import LabelledExample
from stream_scorer.core.wire.codec import encode
from stream_scorer.simulation.world import World
from tests import commands
from tests.commands import Run

WORLD = World.of(3, customers=150, offers=40, popularity_rate=0.5)
START_MS, HOUR_MS = 1_700_000_000_000, 3_600_000


@pytest.fixture
def bucket(s3: str, redis_prefix: str) -> str:
    """The URI of an empty folder on a real S3 server."""
    return s3.format(redis_prefix)


@pytest.fixture
def run(redis_url: str, redis_prefix: str, bucket: str, tmp_path: Path) -> Run:
    (tmp_path / "offers.jsonl").write_bytes(b"".join(encode(offer) + b"\n" for offer in WORLD.offers()))
    variables = {
        "STREAM_SCORER_REDIS__URL": redis_url,
        "STREAM_SCORER_REDIS__PREFIX": redis_prefix,
        "STREAM_SCORER_BUFFER__FOLDER": bucket,
    }

    files = ["--offers", str(tmp_path / "offers.jsonl"), "--out", str(tmp_path / "model")]
    return lambda *words: commands.run(*words, *files, "--json", **variables)


def hour(number: int, *, requests: int = 400, answered: bool = True) -> list[LabelledExample]:
    """Draw an hour of labels; unanswered, nobody accepts anything."""
    made = WORLD.log(
        np.random.default_rng(number),
        requests,
        start_ms=START_MS + number * HOUR_MS,
        rate_per_s=requests / 3_600,
        random_share=1.0,
    )
    return made if answered else [replace(one, accepted=0, cause="window_closed", exposure="assumed") for one in made]


def put(bucket: str, name: str, examples: list[LabelledExample]) -> None:
    filesystem, path = fs.FileSystem.from_uri(bucket)
    with filesystem.open_output_stream(f"{path}/day=2023-11-14/{name}.jsonl", compression=None) as stream:
        stream.write(b"".join(encode(example) + b"\n" for example in examples))


def round_of(run: Run) -> dict[str, Any]:
    said = run("retrain")
    told: dict[str, Any] = json.load(io.StringIO(said.stdout))
    assert said.returncode == (0 if told["outcome"] == "published" else 1), said.stderr
    return told


def test_rounds_go_on_from_the_serving_model(run: Run, bucket: str) -> None:
    for number in range(3):
        put(bucket, f"hour-{number}", hour(number))
    first = round_of(run)
    assert (first["outcome"], first["earlier_model_id"]) == ("published", None)
    put(bucket, "hour-3", hour(3))
    second = round_of(run)
    assert (second["outcome"], second["earlier_model_id"]) == ("published", first["model_id"])
    put(bucket, "hour-4", hour(4, answered=False))
    third = round_of(run)
    assert third["outcome"] == "held"
    assert "acceptances have gone quiet" in third["reason"]


def current(redis_url: str, redis_prefix: str) -> str | None:
    client = connect(redis_url, timeout_s=20.0)
    serving = RedisReleases(client, prefix=redis_prefix).current()
    client.close()
    return serving


def test_a_failing_release_replaces_nothing(run: Run, bucket: str, redis_url: str, redis_prefix: str) -> None:
    put(bucket, "good", hour(0, requests=1_000))
    serving = round_of(run)["release_id"]
    put(bucket, "turned", [replace(one, accepted=1 - one.accepted, cause="declined") for one in hour(1, requests=250)])  # type: ignore[arg-type]
    refused = round_of(run)
    assert refused["outcome"] == "refused"
    assert refused["reason"].startswith("held-out AUC within customer is")
    assert refused["reason"].endswith(f"; {serving} serves on")
    assert current(redis_url, redis_prefix) == serving


def test_training_reads_what_the_buffer_wrote(run: Run, bucket: str) -> None:
    put(bucket, "hour-0", hour(0))
    told = run("train", "--from-buffer", "--epochs", "1")
    assert json.loads(told.stdout)["facts"]["rows"] == 400 * 5, told.stderr
    assert run("train").returncode == 2
