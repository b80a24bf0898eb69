"""Releases of programs and of vectors through a real ranker: customers from a file, a tower, or the request."""

import json
import urllib.request
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from stream_scorer.adapters.local.free_port import free_ports
from stream_scorer.core.features.spec import Category, Number
from stream_scorer.training.program import program_tower
from tests.integration.test_publish_vectors import CUSTOMERS, OFFERS, lines
from tests.program_samples import archive
from tests.release_samples import offer
from tests.ring import Ring, request, values
from tests.waiting import wait_for


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    (tmp_path / "offers.jsonl").write_bytes(b"\n".join(msgspec.json.encode(offer(number)) for number in range(3)))
    vectors = lines(
        tmp_path / "vectors.jsonl", [{"offer_id": name, "vector": vector} for name, vector in OFFERS.items()]
    )
    return ["publish", "--offers", str(tmp_path / "offers.jsonl"), "--offer-vectors", vectors]


def ranked(ring: Ring, folder: Path, **changes: Any) -> dict[str, float]:
    """Ask once, and return the scores by offer."""
    number = len(ring.read(ring.topics.rankings))
    ring.send(ring.topics.requests, [request(number, **changes)])
    ring.run("rank", "--until-idle", "1", log=folder / "rank.log")
    (ranking,) = [one for one in values(ring.read(ring.topics.rankings)) if one["request_id"] == f"q-{number}"]
    return {one["offer_id"]: one["score"] for one in ranking["offers"]}


def expected(customer: list[float]) -> dict[str, float]:
    unit = np.array(customer) / np.linalg.norm(customer)
    return {name: float(unit @ np.array(vector) / np.linalg.norm(vector)) for name, vector in OFFERS.items()}


def test_customers_vectors_come_from_three_places(ring: Ring, words: list[str], tmp_path: Path) -> None:
    ring.run(*words, log=tmp_path / "publish.log")
    assert ranked(ring, tmp_path, features={"vector": [3.0, 4.0]}) == pytest.approx(expected([3.0, 4.0]))
    given = lines(
        tmp_path / "customers.jsonl", [{"customer_id": name, "vector": vector} for name, vector in CUSTOMERS.items()]
    )
    ring.run(*words, "--customer-vectors", given, log=tmp_path / "publish.log")
    assert ranked(ring, tmp_path, customer_id="ann") == pytest.approx(expected(CUSTOMERS["ann"]))
    made = tmp_path / "model"
    # Its user tower reads the request's vector
    ring.run("import-towers", *words[3:], "--similarity", "cosine", "--out", str(made), log=tmp_path / "import.log")
    ring.run("publish", *words[1:3], "--model", str(made), "--customer-vectors", given, log=tmp_path / "publish.log")
    assert ranked(ring, tmp_path, customer_id="ann", features={"vector": [3.0, 4.0]}) == pytest.approx(
        expected(CUSTOMERS["ann"])
    )
    assert ranked(ring, tmp_path, customer_id="bob", features={"vector": [3.0, 4.0]}) == pytest.approx(
        expected([3.0, 4.0])
    )


def test_programs_rank_in_a_ranker(ring: Ring, words: list[str], tmp_path: Path) -> None:
    items = archive(
        inputs=(
            Category("offer_id", ("offer-0", "offer-1"), from_id=True),
            Category("colour", ("red",)),
            Number("price"),
        )
    )
    for name, data in {"item": items, "user": archive()}.items():
        (tmp_path / f"{name}.pt2").write_bytes(data)
    programs = ["--item-program", str(tmp_path / "item.pt2"), "--user-program", str(tmp_path / "user.pt2")]
    ring.options["STREAM_SCORER_RANK__PROGRAMS"] = "allow"
    ring.run(*words[:3], *programs, log=tmp_path / "publish.log")
    customer = program_tower(archive(), "customer").embed([{"age": 30.0}], ["ann"]).vectors[0]
    offers = [offer(number) for number in range(3)]
    vectors = (
        program_tower(items, "offer").embed([one.features for one in offers], [one.offer_id for one in offers]).vectors
    )
    found = ranked(ring, tmp_path, customer_id="ann", features={"age": 30.0})
    assert found == pytest.approx(
        {one.offer_id: float(customer @ vector) for one, vector in zip(offers, vectors, strict=True)}, abs=1e-6
    )


def test_a_forced_release_shows_in_metrics(ring: Ring, words: list[str], tmp_path: Path) -> None:
    lines(tmp_path / "vectors.jsonl", [{"offer_id": name, "vector": OFFERS[name]} for name in ("offer-0", "offer-2")])
    ring.run(*words, "--force", "--json", log=tmp_path / "publish.log")
    (published,) = json.loads((tmp_path / "publish.log").read_text().splitlines()[-1])
    assert published["forced"] == ["1 of 3 offer vectors are zero: offer-1"]
    (port,) = free_ports(1)
    ring.start("rank", "--metrics-port", str(port), log=tmp_path / "rank.log")
    wanted = f'stream_scorer_release_info{{forced="true",release_id="{published["release_id"]}"}} 1.0'
    wait_for(lambda: wanted in page(port), wanted)


def page(port: int) -> str:
    try:
        return str(urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10).read().decode())
    except OSError:
        return ""
