"""`verify` on a ring in memory that the jobs themselves filled: it passes, and it names each planted fault."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from stream_scorer.adapters.memory.sorter import MemorySorter
from stream_scorer.adapters.memory.stream import MemoryLog
from stream_scorer.core.buffer.buffer_files import Chunk
from stream_scorer.core.messages import OfferId
from stream_scorer.core.records import OutputRecord, Partition, Record
from stream_scorer.core.releases.change import OfferChange
from stream_scorer.services.verifying.reading import Readers, VerifyTopics
from stream_scorer.services.verifying.scores import STATED
from stream_scorer.services.verifying.verify import Report, VerifyConfig, verify
from stream_scorer.simulation.world import World
from tests.flow.memory_ring import HORIZONS, PARTITIONS, MemoryRing
from tests.release_samples import model, release

WORLD = World.of(4, customers=60, offers=30)
TOPICS = VerifyTopics("customer-requests", "acceptances", "rankings", "outcomes", "training-labels", "dead-letters")
COUNTS = dict.fromkeys(
    ("customer-requests", "acceptances", "rankings", "outcomes", "training-labels", "dead-letters"), PARTITIONS
)
CONFIG = VerifyConfig(TOPICS, COUNTS, HORIZONS, exactly_once=True)


@pytest.fixture(scope="module")
def filled() -> Iterator[MemoryRing]:
    """A ring that has ranked, joined and buffered some hundred requests and their answers."""
    ring, made = MemoryRing(WORLD), model(1)
    published = release(made, WORLD.offers())
    ring.releases.write(published, made)
    ring.releases.activate(published.release_id, keep=2)
    ring.serve(3)
    ring.drain()
    yield ring
    ring.close()


@pytest.fixture
def ring(filled: MemoryRing) -> Iterator[MemoryRing]:
    """The same ring; after each test it is put back to its state before."""
    broker, files, releases = filled.broker, filled.files, filled.releases
    before = ({place: list(log) for place, log in broker._logs.items()}, dict(broker.committed), list(files.chunks))
    filled.releases = copy.deepcopy(releases)
    yield filled
    broker._logs, broker.committed, files.chunks = before
    filled.releases = releases


def check(ring: MemoryRing, config: VerifyConfig = CONFIG) -> Report:
    logs = [MemoryLog(ring.broker, group) for group in ("rank", "join", "none", "buffer")]
    return verify(Readers(*logs), ring.files, MemorySorter, config, releases=ring.releases)


def place_of(ring: MemoryRing, topic: str) -> Partition:
    """Return the first partition of a topic that has records."""
    return next(one for number in range(PARTITIONS) if ring.broker.log(one := Partition(topic, number)))


def rewrite(ring: MemoryRing, topic: str, change: Callable[[dict[str, Any]], object]) -> None:
    log = ring.broker.log(place_of(ring, topic))
    value = msgspec.json.decode(log[0].value or b"")
    change(value)
    log[0] = msgspec.structs.replace(log[0], value=msgspec.json.encode(value))


def test_the_jobs_work_passes_every_named_check(ring: MemoryRing) -> None:
    report = check(ring)
    assert report.faults == {}
    made = {one.name: (one.checked, one.not_checked) for one in report.checks}
    requests = report.records["customer-requests"]
    assert requests > 200
    assert made["every output answers its request"] == (requests, {})
    assert made["scores and orders are what the towers and the re-ranker of the release make (a sample)"] == (
        requests,
        {},
    )
    assert made["rows in files are those of the topic"] == (report.rows, {})
    assert len(made) == len(report.checks) == 10


def negate_vector(ring: MemoryRing) -> None:
    current = ring.releases.current()
    assert current is not None
    catalog = ring.releases.load(current).catalog
    stated = WORLD.offers()[3]
    offer_id = OfferId(stated.offer_id)
    vector = -catalog.vectors[catalog.index[offer_id]]
    change = OfferChange(offer_id, stated, vector.tobytes(), (0, 9))
    ring.releases.change(current, [change], progress={0: (0, 10)})


def lose_newest_file(ring: MemoryRing) -> None:
    last = max(ring.files.chunks, key=lambda chunk: chunk.next)
    ring.files.chunks.remove(last)


def empty_files(ring: MemoryRing) -> None:
    ring.files.chunks.clear()


def nest(topic: str) -> Callable[[MemoryRing], None]:
    def plant(ring: MemoryRing) -> None:
        ring.broker.append(
            OutputRecord(topic, b"c", b'{"request_id":' + b"[" * 2_000 + b"]" * 2_000 + b"}", partition=0)
        )

    return plant


def move_outcome(ring: MemoryRing) -> None:
    place = place_of(ring, "outcomes")
    record: Record = ring.broker.log(place)[0]
    ring.broker.append(OutputRecord("outcomes", record.key, record.value, partition=1 - place.number))


def state_prices(ring: MemoryRing) -> None:
    """Let a request state a price of every offer that the world has; its ranking carries the catalog's."""
    stated = [{"offer_id": one.offer_id, "features": {"price": 999.0}} for one in WORLD.offers()]
    rewrite(ring, "customer-requests", lambda value: value.update(offers=stated))


def send_again(ring: MemoryRing) -> None:
    """Let the request that states prices have been sent before, with ids alone, and be ranked as that asked."""
    log = ring.broker.log(place_of(ring, "customer-requests"))
    before = log[0]
    state_prices(ring)
    ring.broker.append(replace_value(before, before.value or b""))


PLANTS: list[tuple[str, Callable[[MemoryRing], object]]] = [
    ("request_mismatched", lambda ring: rewrite(ring, "rankings", lambda value: value.update(customer_id="another"))),
    (
        "request_mismatched",
        lambda ring: rewrite(ring, "rankings", lambda value: value["offers"].append(value["offers"][0])),
    ),
    ("score_wrong", lambda ring: rewrite(ring, "rankings", lambda value: value["offers"][0].update(score=0.99))),
    ("offer_features_ignored", state_prices),
    ("offer_vector_wrong", negate_vector),
    ("buffer_file_gone", lose_newest_file),
    ("buffer_file_gone", empty_files),
    ("record_unreadable", nest("rankings")),
    ("record_unreadable", nest("outcomes")),
    ("record_unreadable", nest("training-labels")),
    ("dead_letter_unreadable", nest("dead-letters")),
    ("outcome_elsewhere", move_outcome),
]


@pytest.mark.parametrize(("kind", "plant"), PLANTS, ids=[f"{kind}-{at}" for at, (kind, _) in enumerate(PLANTS)])
def test_a_planted_fault_is_named(ring: MemoryRing, kind: str, plant: Callable[[MemoryRing], object]) -> None:
    plant(ring)
    if kind == "record_unreadable":
        for place in [Partition(topic, 0) for topic in ("rankings", "outcomes")]:
            ring.broker.committed["join", place] = replace(
                ring.broker.committed["join", place], offset=len(ring.broker.log(place))
            )
    assert kind in check(ring).faults


def test_a_deeply_nested_input_harms_no_check(ring: MemoryRing) -> None:
    nest("customer-requests")(ring)
    nest("acceptances")(ring)
    assert check(ring).faults == {}


def test_requests_sent_again_harm_no_check(ring: MemoryRing) -> None:
    send_again(ring)
    report = check(ring)
    assert report.faults == {}
    assert [one.checked for one in report.checks if one.name == STATED] == [1]


def test_differing_counts_are_a_fault(ring: MemoryRing) -> None:
    assert set(check(ring, replace(CONFIG, partitions={**COUNTS, "outcomes": 4})).faults) == {"partitions_differ"}
    ring.broker.append(OutputRecord("outcomes", b"c", ring.broker.topic("outcomes")[0].value, partition=3))
    faults = check(ring, replace(CONFIG, partitions={**COUNTS, "outcomes": 4})).faults
    assert {"partitions_differ", "outcome_elsewhere"} <= set(faults)


def test_a_missing_release_leaves_scores_unchecked(ring: MemoryRing) -> None:
    current = ring.releases.current()
    assert current is not None
    ring.releases.lose(current)
    report = check(ring)
    left_out = {reason for one in report.checks for reason in one.not_checked}
    assert report.faults == {}
    assert any("was never written" in reason for reason in left_out)


def test_customers_sharing_ids_double_no_rows(ring: MemoryRing) -> None:
    chunk = max(ring.files.chunks, key=lambda one: len(one.rows))
    label = ring.broker.log(chunk.partition)[chunk.first]
    value = {**msgspec.json.decode(label.value or b""), "customer_id": "another"}
    ring.broker.append(replace_value(label, msgspec.json.encode(value)))
    rows = [row for row in chunk.rows if row.request_id == value["request_id"] and row.revision == value["revision"]]
    end = len(ring.broker.log(chunk.partition))
    twins = [row._replace(customer_id="another") for row in rows]
    ring.files.chunks.append(Chunk(chunk.partition, end - 1, end, twins, 1.0))
    assert "rows_doubled" not in check(ring).faults


def replace_value(record: Record, value: bytes) -> OutputRecord:
    return OutputRecord(record.topic, record.key, value, partition=record.partition)
