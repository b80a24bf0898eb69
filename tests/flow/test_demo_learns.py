"""The ring in memory with the simulated world around it: the answers of customers make the next release better."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest

from stream_scorer.adapters.files.example_files import ExampleFiles
from stream_scorer.core.messages import LabelledExample
from stream_scorer.core.wire.codec import encode
from stream_scorer.demo.tally import ReleaseTally
from stream_scorer.services.learning.publisher import draft_release, publish
from stream_scorer.services.learning.trainer import train_model
from stream_scorer.simulation.world import World
from stream_scorer.training.options import TrainOptions
from tests.flow.memory_ring import START_MS, MemoryRing

WORLD = World.of(4, customers=400, offers=60)
OPTIONS = TrainOptions(dim=16, width=8, prior=10.0, threads=1)


def release(ring: MemoryRing, labels: Path) -> None:
    """Train on all labels so far and publish the model, as the commands do."""
    trained = train_model(ExampleFiles.at(labels), WORLD.offers(), OPTIONS)
    draft = draft_release(trained.model, WORLD.offers(), created_ms=ring.clock.now_ms(), embedded=lambda _: None)
    publish(ring.releases, trained.model, draft, keep=3, force=False)


def write(path: Path, examples: Iterable[LabelledExample]) -> None:
    path.write_bytes(b"".join(encode(example) + b"\n" for example in examples))


@pytest.fixture(scope="module")
def ring(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MemoryRing]:
    """A ring that has served two releases; the second was trained on the answers to the first one's rankings, too."""
    labels, ring = tmp_path_factory.mktemp("labels"), MemoryRing(WORLD)
    write(labels / "history.jsonl", WORLD.log(np.random.default_rng(1), 500, start_ms=START_MS - 86_400_000))
    release(ring, labels)
    ring.serve(20)
    ring.drain()
    write(labels / "live.jsonl", (row.to_message() for row in ring.examples()))
    release(ring, labels)
    ring.serve(10)
    ring.drain()
    yield ring
    ring.close()


@pytest.fixture
def releases(ring: MemoryRing) -> list[ReleaseTally]:
    return list(ring.tally.releases.values())


def test_a_first_release_beats_popularity(releases: list[ReleaseTally]) -> None:
    assert releases[0].expected_rate > WORLD.popularity() + 0.02


def test_a_release_trained_on_answers_is_better(releases: list[ReleaseTally]) -> None:
    first, second = releases
    assert second.expected_rate > first.expected_rate + 0.04
    assert second.expected_rate < WORLD.best_possible() + 0.02


def test_customers_accept_by_the_odds(releases: list[ReleaseTally]) -> None:
    for one in releases:
        low, high = one.rate.interval
        assert low - 0.01 < one.expected_rate < high + 0.01


def test_requests_have_one_ranking_and_final_labels(ring: MemoryRing) -> None:
    sent = ring.crowd.sent["customer-requests"]
    assert len(ring.tally.latencies_ms) == sent > 2_500
    assert (ring.crowd.waiting, ring.crowd.doubled, ring.crowd.open_labels) == (0, 0, 0)
    assert ring.crowd.labels.total() == 5 * sent
    assert ring.crowd.dead_letters == {}


def test_every_answer_is_a_label(ring: MemoryRing) -> None:
    sent, labels = ring.crowd.sent, ring.crowd.labels
    assert labels["accepted"] == sent["accepted"] > 400
    assert labels["declined"] == sent["acceptances"] - sent["accepted"]


def test_the_buffer_equals_the_topic(ring: MemoryRing) -> None:
    rows = ring.examples()
    assert len(rows) == ring.crowd.labels.total()
    assert sum(row.accepted for row in rows) == ring.crowd.labels["accepted"]
