"""verify: a ring in memory that is right, and each fault planted and found."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import msgspec
import pytest

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
    """A reader that does not see some offsets, such as those of aborted or control records, or before a beginning."""

    def __init__(
        self, broker: MemoryBroker, group: str, unseen: set[tuple[str, int]], begins: Mapping[str, int]
    ) -> None:
        super().__init__(broker, group)
        self._unseen, self._begins = unseen, begins

    def beginning(self, partition: Partition) -> int:
        return self._begins.get(partition.topic, 0)

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
        self.begins: dict[str, int] = {}
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
            GappyLog(self.broker, "rank", careful, self.begins),
            GappyLog(self.broker, "join", careful, self.begins),
            GappyLog(self.broker, "none", self.gone, self.begins),
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


def test_a_ring_that_is_right_passes(ring: Ring) -> None:
    report = ring.verify()
    assert report.faults == {}
    assert report.records == {
        "customer-requests": 4, "acceptances": 6, "rankings": 3, "outcomes": 5, "training-labels": 3, "dead-letters": 3,
    }  # fmt: skip
    assert report.dead_letters == {
        "acceptances: not_json": 1,
        "customer-requests: not_json": 1,
        "outcomes: unknown_request": 1,
    }
    assert (report.rows, report.unsettled) == (8, {})


def test_health_is_reckoned_from_what_is_right(ring: Ring) -> None:
    health = ring.verify().health
    assert health.joined_share == pytest.approx(4 / 6)
    assert health.orphans == {"not_json": 1, "unknown_request": 1}
    assert health.causes == {"accepted": 1, "declined": 1, "late_acceptance": 1, "window_closed": 3}
    assert health.negatives_per_positive == pytest.approx(2.0)
    assert health.acceptance_rate == {"rel": 1.0}
    assert health.delay_ms["p50"] == 10


Plant = Callable[[Ring], object]


def again(topic: str, place: int = 0) -> Plant:
    return lambda ring: ring.append(topic, ring.log(topic)[place].value or b"")


def set_label(place: int, offer: int, accepted: int | None, cause: str | None) -> Plant:
    return lambda ring: ring.relabel(place, lambda value: value["offers"][offer].update(accepted=accepted, cause=cause))


def set_value(place: int, **fields: object) -> Plant:
    return lambda ring: ring.relabel(place, lambda value: value.update(fields))


def without(topic: str, place: int) -> Plant:
    """Make a record one that no reader sees."""
    return lambda ring: ring.aborted.add((topic, place))


def drop_rows(ring: Ring) -> None:
    assert ring.buffer is not None
    ring.buffer.chunks[0] = replace(ring.buffer.chunks[0], rows=ring.buffer.chunks[0].rows[1:])


def double_rows(ring: Ring) -> None:
    assert ring.buffer is not None
    ring.buffer.chunks[0] = replace(
        ring.buffer.chunks[0], rows=[*ring.buffer.chunks[0].rows, ring.buffer.chunks[0].rows[0]]
    )


def change_row(ring: Ring) -> None:
    assert ring.buffer is not None
    first, *rest = ring.buffer.chunks[0].rows
    ring.buffer.chunks[0] = replace(ring.buffer.chunks[0], rows=[first._replace(score=0.25), *rest])


def add_row(ring: Ring) -> None:
    assert ring.buffer is not None
    rows = ring.buffer.chunks[0].rows
    ring.buffer.chunks[0] = replace(ring.buffer.chunks[0], rows=[*rows, rows[0]._replace(request_id="r7")])


def answer_unranked(ring: Ring) -> None:
    ring.accept("r1", "o7")
    ring.settle()
    ring.aborted.add(("dead-letters", 3))


def rank_nonsense(ring: Ring) -> None:
    ring.append("rankings", b"{")
    ring.settle()
    ring.aborted.add(("dead-letters", 3))


def leave_open(ring: Ring) -> None:
    """Let a window close whose offers all were answered, and no final word be said."""
    ring.clock.set(START_MS + 20_000)
    ring.ask("r3", START_MS + 20_000)
    for offer in ("o1", "o2", "o3"):
        ring.accept("r3", offer, START_MS + 20_010)
    ring.settle()
    ring.relabel(3, lambda value: value.update(final=False))


def foresee(ring: Ring) -> None:
    """Write a label from an outcome that the joiner has not read."""
    ring.accept("r2", "o1", START_MS + 20)
    ring.relabel(1, lambda value: value["offers"][0].update(accepted=1, cause="accepted", label_time_ms=START_MS + 20))


def refuse_answer(ring: Ring) -> None:
    ring.accept("r2", "o1", START_MS + 20)
    ring.refuse(ring.log("outcomes")[-1], "unknown_request")


def refuse_request(code: str) -> Plant:
    value = {"request_id": "r5", "customer_id": "c", "event_time_ms": START_MS, "features": {}}
    return lambda ring: ring.refuse(ring.append("customer-requests", value), code)


def rewrite(topic: str, place: int, **fields: object) -> Plant:
    return lambda ring: ring.rewrite(topic, place, **fields)


def lose_file(ring: Ring) -> None:
    ring.buffer = MemoryBuffer()


def lose_last_file(ring: Ring) -> None:
    assert ring.buffer is not None
    ring.buffer.chunks[0] = replace(ring.buffer.chunks[0], next=2, rows=ring.buffer.chunks[0].rows[:5])


def expire_labels(ring: Ring) -> None:
    """Let retention take labels that no file has."""
    assert ring.buffer is not None
    ring.buffer.chunks[0] = replace(ring.buffer.chunks[0], next=1, rows=[])
    ring.begins["training-labels"] = 3


def expire(topic: str, count: int, group: str) -> Plant:
    """Let retention take records of which the reader has committed one only."""

    def plant(ring: Ring) -> None:
        ring.begins[topic] = count
        ring.broker.committed[group, Partition(topic, 0)] = Position(1)

    return plant


def refuse_nothing(topic: str, partition: int, offset: int) -> Plant:
    return lambda ring: ring.refuse(Record(topic, partition, offset, None, b"{", 0), "not_json")


FAULTS: list[tuple[str, Plant]] = [
    ("outcome_refused", refuse_answer),
    ("dead_letter_wrong", refuse_request("not_json")),
    ("dead_letter_wrong", refuse_request("missing_field")),
    ("dead_letter_wrong", lambda ring: ring.refuse(ring.log("rankings")[1], "bad_ranking")),
    ("dead_letter_wrong", lambda ring: ring.refuse(ring.log("training-labels")[1], "not_json")),
    ("dead_letter_unknown", refuse_nothing("customer-requests", 0, 1_000_000)),
    ("dead_letter_unknown", refuse_nothing("customer-requests", 9, 0)),
    ("dead_letter_unknown", refuse_nothing("elsewhere", 0, 0)),
    ("dead_letter_unknown", refuse_nothing("else\0where", 0, 0)),
    ("request_mismatched", rewrite("rankings", 0, customer_id="d")),
    ("request_mismatched", rewrite("rankings", 0, event_time_ms=START_MS + 1)),
    ("request_mismatched", rewrite("rankings", 0, features={"age": 4})),
    ("request_mismatched", rewrite("customer-requests", 0, offers=["o1", "o2"])),
    ("request_mismatched", rewrite("customer-requests", 0, offers=[])),
    ("request_mismatched", rewrite("customer-requests", 0, exclude=["o3"])),
    ("request_mismatched", rewrite("customer-requests", 0, limit=2)),
    ("acceptance_mismatched", rewrite("outcomes", 0, customer_id="d")),
    ("acceptance_mismatched", rewrite("outcomes", 0, request_time_ms=5)),
    ("buffer_file_gone", lose_file),
    ("buffer_file_gone", lose_last_file),
    ("records_expired_unread", expire("customer-requests", 3, "rank")),
    ("records_expired_unread", expire("outcomes", 3, "join")),
    ("records_expired_unread", expire_labels),
    ("record_unreadable", lambda ring: ring.append("training-labels", b"no label")),
    ("record_unreadable", lambda ring: ring.append("training-labels", b"")),
    ("request_lost", lambda ring: ring.gone.add(("rankings", 0))),
    ("request_torn", without("rankings", 0)),
    ("request_torn", without("rankings", 2)),
    ("request_lost", without("dead-letters", 0)),
    ("request_doubled", again("rankings")),
    ("request_doubled", lambda ring: ring.refuse(ring.log("customer-requests")[0])),
    ("request_unknown", lambda ring: ring.append("rankings", ranking("r8", START_MS))),
    ("acceptance_lost", lambda ring: ring.gone.add(("outcomes", 1))),
    ("acceptance_torn", without("outcomes", 1)),
    ("acceptance_doubled", again("outcomes", 2)),
    ("acceptance_unknown", lambda ring: ring.append("outcomes", acceptance("r1", "o1", 3, accepted=True))),
    ("outcome_uncounted", without("dead-letters", 2)),
    ("outcome_uncounted", answer_unranked),
    ("dead_letter_doubled", lambda ring: ring.refuse(ring.log("acceptances")[5])),
    (
        "dead_letter_altered",
        lambda ring: ring.log("dead-letters").append(replace(ring.log("dead-letters").pop(), value=b"other")),
    ),
    ("dead_letter_of_aborted", without("acceptances", 5)),
    ("dead_letter_unknown", lambda ring: ring.gone.add(("acceptances", 5))),
    ("dead_letter_unreadable", lambda ring: ring.append("dead-letters", b"x")),
    ("record_unreadable", rank_nonsense),
    ("label_missing", without("training-labels", 1)),
    ("label_wrong", set_label(2, 0, 0, "declined")),
    ("label_wrong", set_label(1, 2, 1, "accepted")),
    ("label_wrong", set_label(1, 1, None, None)),
    ("label_wrong", set_value(1, final=False)),
    ("label_wrong", leave_open),
    ("label_wrong", foresee),
    ("label_altered", set_value(0, release_id="other")),
    ("label_altered", set_value(0, features={"age": 4.0})),
    ("label_unknown", set_value(0, request_id="r6")),
    ("label_of_aborted_ranking", without("rankings", 0)),
    ("revision_doubled", again("training-labels", 2)),
    ("revision_skipped", set_value(2, revision=3)),
    ("rows_missing", drop_rows),
    ("rows_doubled", double_rows),
    ("rows_differ", change_row),
    ("rows_unknown", add_row),
]


@pytest.mark.parametrize(("kind", "plant"), FAULTS, ids=[f"{kind}-{place}" for place, (kind, _) in enumerate(FAULTS)])
def test_a_planted_fault_is_found(ring: Ring, kind: str, plant: Plant) -> None:
    plant(ring)
    report = ring.verify()
    assert not report.passed
    assert kind in report.faults
    assert report.examples[kind]


def test_unsettled_records_are_no_fault() -> None:
    ring = Ring()
    ring.settle()
    ring.append(TOPICS.requests, {"request_id": "r1"})
    ring.append(TOPICS.acceptances, acceptance("r1", "o1", 1, accepted=True))
    ring.append(TOPICS.rankings, ranking("r0", START_MS))
    report = ring.verify()
    assert report.unsettled == {"customer-requests": 1, "acceptances": 1, "rankings": 1}
    assert set(report.faults) == {"request_unknown"}


def test_an_open_window_owes_no_negatives() -> None:
    ring = Ring()
    ring.ask("r1")
    ring.accept("r1", "o1")
    ring.settle(later_ms=0)
    assert ring.verify().faults == {}


@pytest.mark.parametrize("now", [0.1, 1.0])
def test_rows_are_judged_by_their_own_sampling(ring: Ring, now: float) -> None:
    ring.fill(keep_prob=0.5)
    assert ring.verify(replace(CONFIG, keep_prob=now)).faults == {}
    assert ring.buffer is not None
    sampled = next(row for row in ring.buffer.chunks[0].rows if row.keep_prob == 0.5)
    ring.buffer.chunks[0] = replace(
        ring.buffer.chunks[0], rows=[row for row in ring.buffer.chunks[0].rows if row is not sampled]
    )
    assert set(ring.verify(replace(CONFIG, keep_prob=now)).faults) == {"rows_missing"}


def test_at_least_once_tolerates_doubles_alone(ring: Ring) -> None:
    ring.append("rankings", ring.log("rankings")[0].value or b"")
    ring.settle()
    report = ring.verify(replace(CONFIG, exactly_once=False))
    assert (report.passed, report.tolerated) == (True, {"request_doubled": 1})


def test_aborted_records_are_counted_and_harm_nobody(ring: Ring) -> None:
    ring.append("rankings", ring.log("rankings")[0].value or b"")
    ring.aborted.add(("rankings", 3))
    report = ring.verify()
    assert (report.passed, report.aborted) == (True, {"rankings": 1})


def test_examples_are_few_and_counts_are_whole() -> None:
    ring = Ring()
    for number in range(20):
        ring.append(TOPICS.requests, {"request_id": f"r{number}"})
    ring.settle()
    report = ring.verify(replace(CONFIG, examples_max=3))
    assert (report.faults, len(report.examples["request_lost"])) == ({"request_lost": 20}, 3)


@pytest.mark.parametrize(("digest", "faults"), [(None, set()), (b"0" * 64, {"dead_letter_altered"})])
def test_truncated_letters_are_judged_by_digest(digest: bytes | None, faults: set[str]) -> None:
    ring = Ring()
    ring.refuse(ring.append(TOPICS.requests, b" " * 1_000_001))
    if digest is not None:
        letter = ring.log(TOPICS.dead_letters).pop()
        headers = {**dict(letter.headers), "value.sha256": digest}
        ring.log(TOPICS.dead_letters).append(replace(letter, headers=list(headers.items())))
    ring.settle()
    assert set(ring.verify().faults) == faults
