"""The checker finds no fault in the join's work on generated histories, wherever the join is stopped."""

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from stream_scorer.adapters.memory.sorter import MemorySorter
from stream_scorer.adapters.memory.stream import MemoryLog
from stream_scorer.core.records import DeadLetter, Record
from stream_scorer.core.wire.dead_letters import dead_letter_record
from stream_scorer.services.streaming.join_restore import JoinConfig
from stream_scorer.services.verifying.reading import Readers, VerifyTopics
from stream_scorer.services.verifying.verify import VerifyConfig, verify
from tests.flow.test_join_histories import AT_ONCE, GROUP, HORIZONS, Run, both_ways, histories, run_through, schedules
from tests.join_oracle import Event

TOPICS = VerifyTopics("customer-requests", "acceptances", "rankings", "outcomes", "training-labels", "dead-letters")
PARTITIONS = dict.fromkeys(
    [TOPICS.requests, TOPICS.acceptances, TOPICS.rankings, TOPICS.outcomes, TOPICS.labels, TOPICS.dead_letters], 1
)
CONFIG = VerifyConfig(TOPICS, PARTITIONS, HORIZONS, exactly_once=True)
# The histories begin with rankings and outcomes, without the requests and acceptances behind them.
UNASKED = {"request_unknown", "acceptance_unknown"}


def faults(run: Run) -> set[str]:
    for letter in run.letters:
        run.broker.append(replace(dead_letter_record(letter, TOPICS.dead_letters), partition=0))
    log = MemoryLog(run.broker, GROUP)
    return set(verify(Readers(log, log, log), None, MemorySorter, CONFIG).faults) - UNASKED


@both_ways
@given(histories(), schedules(["before", "after"]))
@settings(max_examples=60, deadline=None)
def test_a_join_that_is_stopped_anywhere_passes(
    config: JoinConfig, events: list[Event], schedule: list[tuple[int, int, str]]
) -> None:
    assert faults(run_through(config, events, schedule)) == set()


@both_ways
@given(histories(jitter_ms=400), schedules(["before", "after"]))
@settings(max_examples=60, deadline=None)
def test_any_disorder_loses_no_answer(
    config: JoinConfig, events: list[Event], schedule: list[tuple[int, int, str]]
) -> None:
    assert faults(run_through(config, events, schedule)) == set()


@given(histories(), schedules([]), st.data())
@settings(max_examples=60, deadline=None)
def test_a_removed_label_is_missed(
    events: list[Event], schedule: list[tuple[int, int, str]], data: st.DataObject
) -> None:
    run = run_through(AT_ONCE, events, schedule)
    labels = run.broker.topic(TOPICS.labels)
    if labels:
        victim = data.draw(st.sampled_from(labels))
        kept = [one for one in run.broker.topic(TOPICS.labels) if one is not victim]
        run.broker._logs[victim.topic, victim.partition] = kept  # type: ignore[index]
        assert faults(run) & {"label_missing", "label_wrong", "revision_skipped"}


@both_ways
@given(histories(), schedules(["before", "after"]), st.data())
@settings(max_examples=60, deadline=None)
def test_refusing_a_counting_answer_is_wrong(
    config: JoinConfig, events: list[Event], schedule: list[tuple[int, int, str]], data: st.DataObject
) -> None:
    run = run_through(config, events, schedule)
    if counted := [record for record in run.broker.topic(TOPICS.outcomes) if counts(run, record)]:
        run.letters.append(DeadLetter(data.draw(st.sampled_from(counted)), "unknown_request", "why"))
        assert faults(run) & {"outcome_refused"}


def counts(run: Run, record: Record) -> bool:
    """Return whether an outcome must count: its request was ranked, it came within the disorder, it was not refused."""
    value = _value(record)
    ranked = {one["request_id"] for one in map(_value, run.broker.topic(TOPICS.rankings))}
    early = record.timestamp_ms <= value["event_time_ms"] + HORIZONS.disorder_ms
    refused = any(
        letter.record.offset == record.offset for letter in run.letters if letter.record.topic == record.topic
    )
    return value["request_id"] in ranked and early and not refused


def _value(record: Record) -> Any:
    return msgspec.json.decode(record.value or b"")
