"""A release with a re-ranker through the whole ring in memory: both stages on rankings, labels and rows."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from stream_scorer.adapters.memory.sorter import MemorySorter
from stream_scorer.adapters.memory.stream import MemoryLog
from stream_scorer.core.records import Partition
from stream_scorer.services.verifying.reading import Readers, VerifyTopics
from stream_scorer.services.verifying.verify import Report, VerifyConfig, verify
from stream_scorer.simulation.world import World
from tests.flow.memory_ring import HORIZONS, PARTITIONS, MemoryRing
from tests.release_samples import release, reranked_model
from tests.reranking_samples import network

WORLD = World.of(4, customers=30, offers=30)
NAMES = ("customer-requests", "acceptances", "rankings", "outcomes", "training-labels", "dead-letters")
CONFIG = VerifyConfig(VerifyTopics(*NAMES), dict.fromkeys(NAMES, PARTITIONS), HORIZONS, exactly_once=True)


@pytest.fixture(scope="module")
def ring() -> Iterator[MemoryRing]:
    ring, made = MemoryRing(WORLD), reranked_model(1, network())
    published = release(made, WORLD.offers())
    ring.releases.write(published, made)
    ring.releases.activate(published.release_id, keep=2)
    ring.serve(1)
    ring.drain()
    yield ring
    ring.close()


def report(ring: MemoryRing) -> Report:
    logs = [MemoryLog(ring.broker, group) for group in ("rank", "join", "none", "buffer")]
    return verify(Readers(*logs), ring.files, MemorySorter, CONFIG, releases=ring.releases)


def offers_on(ring: MemoryRing, topic: str) -> list[dict[str, Any]]:
    values = [msgspec.json.decode(record.value or b"") for record in ring.broker.topic(topic)]
    return [offer for value in values for offer in value["offers"]]


def test_both_stages_reach_labels_and_rows(ring: MemoryRing) -> None:
    assert report(ring).faults == {}
    of_rankings, of_labels = (
        {_stages(one) for one in offers_on(ring, name)} for name in ("rankings", "training-labels")
    )
    rows = {(row.offer_id, row.tower_rank, row.reranker_score) for chunk in ring.files.chunks for row in chunk.rows}
    assert len(of_rankings) > 50
    assert of_labels == of_rankings
    assert rows <= of_rankings
    assert rows


def _stages(offer: dict[str, Any]) -> tuple[str, int, float]:
    return offer["offer_id"], offer["tower_rank"], offer["reranker_score"]


@pytest.mark.parametrize(
    ("topic", "fault"), [("rankings", "reranker_score_wrong"), ("training-labels", "label_altered")]
)
def test_a_planted_score_is_named(ring: MemoryRing, topic: str, fault: str) -> None:
    log = next(log for number in range(PARTITIONS) if (log := ring.broker.log(Partition(topic, number))))
    right = log[0]
    value = msgspec.json.decode(right.value or b"")
    value["offers"][0]["reranker_score"] += 0.5
    log[0] = msgspec.structs.replace(right, value=msgspec.json.encode(value))
    faults = report(ring).faults
    log[0] = right
    assert fault in faults
