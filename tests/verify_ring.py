"""Topics and files in memory that `verify` finds right, and the means to falsify them."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from stream_scorer.adapters.local.clock import HandClock
from stream_scorer.adapters.memory.buffer import MemoryBuffer
from stream_scorer.adapters.memory.releases import MemoryReleases
from stream_scorer.adapters.memory.sorter import MemorySorter
from stream_scorer.adapters.memory.stream import MemoryBroker, MemoryLog
from stream_scorer.core.buffer.buffer_files import Chunk
from stream_scorer.core.buffer.examples import take_apart
from stream_scorer.core.joining.labelling import Horizons
from stream_scorer.core.messages import LabelledRanking
from stream_scorer.core.records import DeadLetter, OutputRecord, Partition, Position, Record
from stream_scorer.core.wire.codec import decode_all
from stream_scorer.core.wire.dead_letters import dead_letter_record
from stream_scorer.services.streaming.join_restore import JoinConfig, restore
from stream_scorer.services.verifying.reading import Readers, VerifyTopics
from stream_scorer.services.verifying.verify import Report, VerifyConfig, verify
from stream_scorer.topic_settings import TopicSettings

TOPICS = VerifyTopics("customer-requests", "acceptances", "rankings", "outcomes", "training-labels", "dead-letters")
HORIZONS = Horizons(window_ms=100, late_ms=80, disorder_ms=40, back_ms=20, tick_ms=10, skew_ms=1_000, idle_slack_ms=0)
JOIN = JoinConfig(TopicSettings(), "dead-letters", HORIZONS, held_max=1_000)
PARTITIONS = dict.fromkeys(
    ("customer-requests", "acceptances", "rankings", "outcomes", "training-labels", "dead-letters"), 1
)
CONFIG = VerifyConfig(TOPICS, PARTITIONS, HORIZONS, exactly_once=True)
START_MS = 1_000


class GappyLog(MemoryLog):
    """A reader that does not see some offsets, such as those of aborted or control records."""

    def __init__(self, broker: MemoryBroker, group: str, unseen: set[tuple[str, int]]) -> None:
        super().__init__(broker, group)
        self._unseen = unseen

    def read(self, partition: Partition, start: int, end: int) -> Iterator[list[Record]]:
        for records in super().read(partition, start, end):
            yield [record for record in records if (record.topic, record.offset) not in self._unseen]


class Ring:
    """Topics of one partition that were written as they should be."""

    def __init__(self) -> None:
        self.clock = HandClock(START_MS)
        self.broker = MemoryBroker(1, self.clock)
        self.buffer: MemoryBuffer | None = None
        self.aborted: set[tuple[str, int]] = set()
        self.gone: set[tuple[str, int]] = set()
        self.releases: MemoryReleases | None = None

    def append(self, topic: str, value: bytes | Mapping[str, Any]) -> Record:
        data = value if isinstance(value, bytes) else msgspec.json.encode(value)
        self.broker.append(OutputRecord(topic, b"c", data, partition=0))
        return self.log(topic)[-1]

    def log(self, topic: str) -> list[Record]:
        return self.broker.log(Partition(topic, 0))

    def ask(self, request: str, time_ms: int = START_MS) -> None:
        self.append(
            TOPICS.requests,
            {"request_id": request, "customer_id": "c", "event_time_ms": time_ms, "features": {"age": 3}},
        )
        self.append(TOPICS.rankings, ranking(request, time_ms))

    def accept(self, request: str, offer: str, time_ms: int = START_MS + 10, *, accepted: bool = True) -> None:
        value = acceptance(request, offer, time_ms, accepted=accepted)
        self.append(TOPICS.acceptances, value)
        self.append(TOPICS.outcomes, value)

    def refuse(self, record: Record, code: str = "bad") -> None:
        self.broker.append(
            replace(dead_letter_record(DeadLetter(record, code, "why"), TOPICS.dead_letters), partition=0)
        )

    def settle(self, *, later_ms: int = 10_000) -> None:
        """Let the joiner do its work, and commit everybody's positions."""
        state = restore(0, MemoryLog(self.broker, "join"), JOIN)
        records = [
            record
            for topic in ("rankings", "outcomes")
            for record in self.log(topic)[state.progress()[Partition(topic, 0)].offset :]
        ]
        joined = state.join(records, ended=["rankings", "outcomes"], now_ms=self.clock.now_ms() + later_ms)
        for label in joined.labels:
            self.broker.append(label)
        for letter in joined.dead_letters:
            self.refuse(letter.record, letter.code)
        self.broker.committed |= {("join", one): position for one, position in state.progress().items()}
        for topic in (TOPICS.requests, TOPICS.acceptances):
            self.broker.committed["rank", Partition(topic, 0)] = Position(len(self.log(topic)))

    def fill(self, keep_prob: float = 1.0) -> None:
        """Put every label into a buffer."""
        records = self.log(TOPICS.labels)
        rows = [
            row
            for message in decode_all(records, LabelledRanking).messages
            for row in take_apart(message, keep_prob=keep_prob)
        ]
        self.buffer = MemoryBuffer()
        self.buffer.write([Chunk(Partition(TOPICS.labels, 0), 0, len(records), rows, keep_prob)])
        self.broker.committed["buffer", Partition(TOPICS.labels, 0)] = Position(len(records))

    def rewrite(self, topic: str, place: int, **fields: object) -> None:
        """Falsify a record that was written."""
        record = self.log(topic)[place]
        value = {**msgspec.json.decode(record.value or b""), **fields}
        self.log(topic)[place] = replace(record, value=msgspec.json.encode(value))

    def relabel(self, place: int, change: Callable[[dict[str, Any]], None]) -> None:
        """Falsify a label that was written."""
        record = self.log(TOPICS.labels)[place]
        value = msgspec.json.decode(record.value or b"")
        change(value)
        self.log(TOPICS.labels)[place] = replace(record, value=msgspec.json.encode(value))

    def verify(self, config: VerifyConfig = CONFIG) -> Report:
        careful = self.aborted | self.gone
        readers = Readers(
            GappyLog(self.broker, "rank", careful),
            GappyLog(self.broker, "join", careful),
            GappyLog(self.broker, "none", self.gone),
            MemoryLog(self.broker, "buffer"),
        )
        return verify(readers, self.buffer, MemorySorter, config, releases=self.releases)


def ranking(request: str, time_ms: int) -> dict[str, Any]:
    offers: list[dict[str, Any]] = [
        {"offer_id": f"o{place}", "rank": place, "score": 0.5, "propensity": 1.0, "features": {}} for place in (1, 2, 3)
    ]
    return {
        "request_id": request, "customer_id": "c", "event_time_ms": time_ms, "release_id": "rel", "status": "ranked",
        "eligible_count": 3, "excluded": {}, "features": {"age": 3.0}, "offers": offers,
    }  # fmt: skip


def acceptance(request: str, offer: str, time_ms: int, *, accepted: bool) -> dict[str, Any]:
    return {
        "acceptance_id": f"{request}-{offer}-{time_ms}", "request_id": request, "customer_id": "c", "offer_id": offer,
        "accepted": accepted, "event_time_ms": time_ms,
    }  # fmt: skip


@pytest.fixture
def ring() -> Ring:
    """A ring with something of everything: accepted, declined, late, unanswered, twice asked, never ranked, refused."""
    ring = Ring()
    ring.ask("r1")
    ring.ask("r2", START_MS + 5)
    ring.ask("r2", START_MS + 5)
    ring.accept("r1", "o1")
    ring.accept("r1", "o1")
    ring.accept("r1", "o2", accepted=False)
    ring.settle(later_ms=0)
    ring.accept("r2", "o3", START_MS + 150)
    ring.accept("r9", "o1")
    ring.refuse(ring.append(TOPICS.requests, b"{"), "not_json")
    ring.refuse(ring.append(TOPICS.acceptances, b"{"), "not_json")
    ring.settle()
    ring.fill()
    return ring
