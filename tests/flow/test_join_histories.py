"""Generated histories go through the join, with batches cut and the process stopped anywhere; an oracle judges it."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_scorer.adapters.local.clock import HandClock
from stream_scorer.adapters.memory.stream import MemoryBroker, MemoryLog
from stream_scorer.core.joining.at_close import PartitionClose
from stream_scorer.core.joining.at_once import PartitionJoin
from stream_scorer.core.joining.known_requests import OpenRequest
from stream_scorer.core.joining.labelling import UNKNOWN, Horizons
from stream_scorer.core.records import DeadLetter, OutputRecord, Partition, Record
from stream_scorer.core.wire.kept_rankings import write_kept
from stream_scorer.errors import UsageError
from stream_scorer.services.streaming.join_restore import JoinConfig, restore
from stream_scorer.topic_settings import TopicSettings
from tests.join_oracle import Event, OfferLabel, latest_labels, oracle, outcome, ranking

TOPICS = TopicSettings()
HORIZONS = Horizons(window_ms=100, late_ms=80, disorder_ms=40, back_ms=20, tick_ms=10, skew_ms=1_000, idle_slack_ms=0)
AT_ONCE = JoinConfig(TOPICS, "dead-letters", HORIZONS, held_max=1_000)
AT_CLOSE = replace(AT_ONCE, emit="at_close")
GROUP = "join"
START_MS = 1_000


@st.composite
def histories(draw: st.DrawFn, *, jitter_ms: int = HORIZONS.disorder_ms - 1) -> list[Event]:
    """Draw requests and answers, early, late, duplicate and unknown; event time jumps back by `jitter_ms` at most."""
    # The two extremes come often: records that are delayed by all that is allowed are overtaken by those without delay.
    jitter = st.one_of(st.sampled_from([0, jitter_ms]), st.integers(0, jitter_ms))
    gap = st.one_of(st.integers(0, 30), st.integers(0, 120))
    until_ms = HORIZONS.window_ms + HORIZONS.late_ms + 30
    delay = st.one_of(st.integers(-HORIZONS.back_ms - 5, 0), st.integers(-HORIZONS.back_ms - 5, until_ms))
    events: list[Event] = []
    time_ms = START_MS
    for request in range(draw(st.integers(1, 8))):
        time_ms += draw(gap)
        times = draw(st.sampled_from([1, 1, 1, 2]))
        events += [
            Event("rankings", time_ms, time_ms + draw(jitter), ranking(f"r{request}", "c", time_ms))
            for _ in range(times)
        ]
        for answer in range(draw(st.integers(0, 4))):
            answered_ms = time_ms + draw(delay)
            name, asked = f"{request}-{answer}", f"r{draw(st.sampled_from([request] * 6 + [99]))}"
            value = outcome(
                name,
                asked,
                "c",
                draw(st.integers(0, 3)),
                accepted=draw(st.booleans()),
                time_ms=answered_ms,
                asked_ms=time_ms,
            )
            events += [
                Event("outcomes", answered_ms, answered_ms + draw(jitter), value)
                for _ in range(draw(st.sampled_from([1, 1, 2])))
            ]
    return sorted(events, key=lambda event: event.arrives_ms)


class Run:
    """A joiner of one partition on a memory broker, which can be stopped and restored at any step."""

    def __init__(self, config: JoinConfig) -> None:
        self.config = config
        self.clock = HandClock(START_MS)
        self.broker = MemoryBroker(1, self.clock)
        self.dead: list[Record] = []
        self.letters: list[DeadLetter] = []
        self.state = restore(0, MemoryLog(self.broker, GROUP), self.config)

    def append(self, event: Event) -> None:
        self.clock.set(event.arrives_ms)
        self.broker.append(
            OutputRecord(event.topic, event.value["customer_id"].encode(), msgspec.json.encode(event.value))
        )

    def step(self, rankings: int, outcomes: int, *, crash: str, now_ms: int | None = None) -> None:
        records: list[Record] = []
        ended: list[str] = []
        for topic, count in (("rankings", rankings), ("outcomes", outcomes)):
            log, position = self.broker.log(Partition(topic, 0)), self.state.reading()[Partition(topic, 0)].offset
            records += log[position : position + count]
            if position + count >= len(log):
                ended.append(topic)
        joined = self.state.join(
            records, ended=ended, now_ms=(now_ms or self.clock.now_ms()) if "outcomes" in ended else None
        )
        if crash != "before":
            for output in joined.labels:
                self.broker.append(output)
            if crash != "torn":
                self.dead += [letter.record for letter in joined.dead_letters]
                self.letters += joined.dead_letters
                self.broker.committed |= {(GROUP, one): position for one, position in self.state.progress().items()}
                self.state.written_to(len(self.broker.log(Partition("training-labels", 0))))
        if crash != "no":
            self.restart()

    def restart(self) -> None:
        self.state = restore(0, MemoryLog(self.broker, GROUP), self.config)
        owed = self.state.join([])
        assert not owed.labels, "a restore owes what was emitted"

    def latest(self) -> dict[str, tuple[OfferLabel, ...]]:
        return latest_labels([record.value or b"" for record in self.broker.topic("training-labels")])


@st.composite
def schedules(draw: st.DrawFn, crashes: list[str]) -> list[tuple[int, int, str]]:
    return draw(
        st.lists(
            st.tuples(st.integers(0, 4), st.integers(0, 4), st.sampled_from(["no", "no", *crashes])),
            min_size=30,
            max_size=60,
        )
    )


def run_through(
    config: JoinConfig,
    events: list[Event],
    schedule: list[tuple[int, int, str]],
    *,
    watch: Callable[[Run], None] = lambda run: None,
) -> Run:
    run = Run(config)
    steps = iter(schedule * 10)
    for event in events:
        run.append(event)
        rankings, outcomes, crash = next(steps)
        run.step(rankings, outcomes, crash=crash)
        watch(run)
    run.step(1_000, 1_000, crash="no")
    run.step(0, 0, crash="no", now_ms=run.clock.now_ms() + 10_000)
    return run


both_ways = pytest.mark.parametrize("config", [AT_ONCE, AT_CLOSE], ids=["at_once", "at_close"])


@both_ways
@given(histories(), schedules(["before", "after"]))
@settings(max_examples=150, deadline=None)
def test_stops_leave_labels_equal_the_oracle(
    config: JoinConfig, events: list[Event], schedule: list[tuple[int, int, str]]
) -> None:
    run = run_through(config, events, schedule)
    labels, dead = oracle(events, HORIZONS)
    assert run.latest() == labels
    assert len(run.dead) == dead
    assert max(Counter(record.offset for record in run.dead).values(), default=1) == 1


@both_ways
@given(histories(), schedules(["before", "torn", "after"]))
@settings(max_examples=120, deadline=None)
def test_labels_without_positions_are_not_doubled(
    config: JoinConfig, events: list[Event], schedule: list[tuple[int, int, str]]
) -> None:
    run = run_through(config, events, schedule)
    assert run.latest() == oracle(events, HORIZONS)[0]


@both_ways
@given(histories(jitter_ms=400), schedules(["before", "after"]))
@settings(max_examples=120, deadline=None)
def test_any_disorder_keeps_revisions_consecutive(
    config: JoinConfig, events: list[Event], schedule: list[tuple[int, int, str]]
) -> None:
    run = run_through(config, events, schedule)
    assert run.latest().keys() <= oracle(events, HORIZONS)[0].keys()


@given(histories(), schedules(["before", "after"]))
@settings(max_examples=100, deadline=None)
def test_closing_labels_are_one_final_revision(events: list[Event], schedule: list[tuple[int, int, str]]) -> None:
    run = run_through(AT_CLOSE, events, schedule)
    emitted = [msgspec.json.decode(record.value or b"") for record in run.broker.topic("training-labels")]
    assert all(value["final"] and value["revision"] == 1 for value in emitted)


@both_ways
@given(histories(), histories(), schedules(["before", "after"]))
@settings(max_examples=60, deadline=None)
def test_customers_sharing_ids_share_no_labels(
    config: JoinConfig, mine: list[Event], drawn: list[Event], schedule: list[tuple[int, int, str]]
) -> None:
    theirs = [replace(event, value={**event.value, "customer_id": "d"}) for event in drawn]
    run = run_through(config, sorted([*mine, *theirs], key=lambda event: event.arrives_ms), schedule)
    labels = run.broker.topic("training-labels")
    for key, events in ((b"c", mine), (b"d", theirs)):
        right, dead = oracle(events, HORIZONS)
        assert latest_labels([record.value or b"" for record in labels if record.key == key]) == right
        assert sum(record.key == key for record in run.dead) == dead


@st.composite
def histories_with_erasure(draw: st.DrawFn) -> tuple[list[Event], list[Event], Event]:
    """Draw the events of customers c and d, and the erasure of d up to some time; it is read at that time or later."""
    to_ms = draw(st.integers(START_MS, START_MS + 1_200))
    erasure = Event("outcomes", to_ms, to_ms + draw(st.integers(0, 1_500)), {"customer_id": "d", "erased_to_ms": to_ms})
    return draw(histories()), [about("d", event) for event in draw(histories())], erasure


@both_ways
@given(histories_with_erasure(), schedules(["before", "after"]))
@settings(max_examples=150, deadline=None)
def test_erasure_drops_one_customer_only(
    config: JoinConfig, drawn: tuple[list[Event], list[Event], Event], schedule: list[tuple[int, int, str]]
) -> None:
    kept, theirs, erasure = drawn
    events = sorted([*kept, *theirs, erasure], key=lambda event: event.arrives_ms)
    run = run_through(config, events, schedule, watch=lambda run: assert_held_no_more(run, erasure))
    labels, dead = oracle(kept, HORIZONS)
    later = {
        event.value["request_id"] for event in theirs if event.topic == "rankings" and event.time_ms > erasure.time_ms
    }
    labels |= {request_id: label for request_id, label in oracle(theirs, HORIZONS)[0].items() if request_id in later}
    assert {request_id: label for request_id, label in run.latest().items() if request_id in labels} == labels
    assert sum(b'"customer_id":"c"' in (record.value or b"") for record in run.dead) == dead


def about(customer_id: str, event: Event) -> Event:
    """Return the same event as another customer's, with request ids that differ from the original's."""
    return replace(
        event,
        value={**event.value, "customer_id": customer_id, "request_id": f"{customer_id}{event.value['request_id']}"},
    )


def assert_held_no_more(run: Run, erasure: Event) -> None:
    read = run.state.progress()[Partition("outcomes", 0)].offset
    if any(
        record.value == msgspec.json.encode(erasure.value) for record in run.broker.log(Partition("outcomes", 0))[:read]
    ):
        theirs = [value for value in held_by(run.state) if value["customer_id"] == "d"]
        assert not [
            value for value in theirs if (value.get("request_time_ms") or value["event_time_ms"]) <= erasure.time_ms
        ]


def held_by(state: PartitionJoin | PartitionClose) -> list[dict[str, Any]]:
    """Return the messages that a state still keeps."""
    if isinstance(state, PartitionJoin):
        values = [ranking_of(request) for request in state.open.values()] + [
            one.record.value for one in state._waiting.values()
        ]
    else:
        values = [record.value for record, _ in state._ahead] + [record.value for record in state._waiting.values()]
    return [msgspec.json.decode(value) for value in values if value]


def ranking_of(request: OpenRequest) -> bytes:
    """Return what is kept of a ranking as its next revision would have it."""
    ids = (request.request_id, request.customer_id, request.time_ms)
    labels = [UNKNOWN] * request.offers
    return write_kept(request.kept, ids, labels, revision=1, final=False)[0] if request.packed else b""


def test_a_partitions_state_forgets_closed_requests() -> None:
    requests = [Event("rankings", 1_000 + n, 1_000 + n, ranking(f"r{n}", "c", 1_000 + n)) for n in range(50)]
    run = run_through(AT_ONCE, requests, [(1, 1, "no")] * 50)
    assert isinstance(run.state, PartitionJoin)
    assert not run.state.open


def test_a_group_keeps_its_way_to_emit() -> None:
    requests = [Event("rankings", 1_000 + n, 1_000 + n, ranking(f"r{n}", "c", 1_000 + n)) for n in range(3)]
    run = run_through(AT_CLOSE, requests, [(1, 1, "no")] * 50)
    with pytest.raises(UsageError, match="keeps its way to emit"):
        restore(0, MemoryLog(run.broker, GROUP), AT_ONCE)
