"""The join for long windows: known answers at each comparison, with the slack above zero."""

from typing import Any

import msgspec
import pytest
from msgspec import structs

from stream_scorer.core.joining.at_close import PartitionClose
from stream_scorer.core.joining.join_state import ClosePoint
from stream_scorer.core.joining.labelling import Horizons
from stream_scorer.core.joining.partition_state import Joined
from stream_scorer.core.records import Partition, Record
from stream_scorer.topic_settings import TopicSettings
from tests.join_oracle import outcome, ranking

TOPICS = TopicSettings()
HORIZONS = Horizons(window_ms=100, late_ms=80, disorder_ms=40, back_ms=20, tick_ms=1, skew_ms=30, idle_slack_ms=5)
ASKED_MS = 1_000
DUE_MS = ASKED_MS + HORIZONS.complete_ms
LONG_MS = HORIZONS.complete_ms + HORIZONS.idle_slack_ms
BOTH = ("rankings", "outcomes")


class Log:
    """Both topics of one partition: every record is appended at the broker's time `now_ms`."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.now_ms = 10_000
        self.state = PartitionClose(0, TOPICS, HORIZONS, rankings=0, outcomes=0, labels=0)

    def rank(self, time_ms: int, request: str = "r", customer: str = "c") -> Record:
        return self.append("rankings", ranking(request, customer, time_ms))

    def answer(
        self, time_ms: int, request: str = "r", customer: str = "c", *, asked_ms: int | None = ASKED_MS, offer: int = 0
    ) -> Record:
        value = outcome("1", request, customer, offer, accepted=True, time_ms=time_ms, asked_ms=0)
        return self.append("outcomes", {**value, "request_time_ms": asked_ms})

    def append(self, topic: str, value: dict[str, Any]) -> Record:
        offset = sum(record.topic == topic for record in self.records)
        self.records.append(Record(topic, 0, offset, b"c", msgspec.json.encode(value), self.now_ms))
        return self.records[-1]

    def reach(self, time_ms: int) -> Joined:
        """Let the newest outcome be of that time."""
        return self.state.join([self.answer(time_ms, "w", "w", asked_ms=time_ms)])

    def restart(self) -> None:
        """Rebuild the state from what it would have committed."""
        progress = {one.topic: position for one, position in self.state.progress().items()}
        point = ClosePoint.from_text(progress["rankings"].metadata)
        at = {topic: progress[topic].offset for topic in BOTH}
        self.state = PartitionClose(0, TOPICS, HORIZONS, rankings=at["rankings"], outcomes=at["outcomes"], labels=0)
        self.state.resume_at(point)
        self.state.reread_rankings(self._between("rankings", point.rankings, at["rankings"]))
        self.state.reread_outcomes(self._between("outcomes", point.outcomes, at["outcomes"]))

    def _between(self, topic: str, start: int, end: int) -> list[Record]:
        return [record for record in self.records if record.topic == topic and start <= record.offset < end]


@pytest.fixture
def log() -> Log:
    return Log()


def codes(joined: Joined) -> list[str]:
    return [letter.code for letter in joined.dead_letters]


def labels(joined: Joined) -> list[tuple[str, list[int]]]:
    values = [msgspec.json.decode(one.value or b"") for one in joined.labels]
    return [(value["customer_id"], [offer["accepted"] for offer in value["offers"]]) for value in values]


@pytest.mark.parametrize(("passed_ms", "due"), [(-1, False), (0, False), (1, True)])
def test_a_ranking_waits_for_all_its_answers(log: Log, passed_ms: int, due: bool) -> None:
    log.state.join([log.rank(ASKED_MS), log.answer(ASKED_MS + 1)])
    assert labels(log.reach(DUE_MS + passed_ms)) == ([("c", [1, 0, 0])] if due else [])


@pytest.mark.parametrize(("lain_ms", "due"), [(LONG_MS - 1, False), (LONG_MS, False), (LONG_MS + 1, True)])
def test_the_clock_labels_a_ranking_lain_long(log: Log, lain_ms: int, due: bool) -> None:
    log.state.join([log.rank(ASKED_MS)], ended=BOTH)
    assert log.state.idle_due(log.now_ms + lain_ms) == due
    assert labels(log.state.join([], now_ms=log.now_ms + lain_ms)) == ([("c", [0, 0, 0])] if due else [])


def test_flowing_outcomes_keep_the_clock_from_labelling(log: Log) -> None:
    log.state.join([log.rank(ASKED_MS)], ended=BOTH)
    log.now_ms += LONG_MS
    log.state.join([log.answer(ASKED_MS - 500, "q", "q", asked_ms=ASKED_MS - 500)], ended=BOTH)
    assert labels(log.state.join([], now_ms=log.now_ms + 1)) == []
    log.restart()
    log.state.join([log.rank(ASKED_MS)], ended=BOTH)
    assert labels(log.state.join([], now_ms=log.now_ms + 1)) == []


@pytest.mark.parametrize(("before_ms", "code"), [(19, []), (20, []), (21, ["before_its_request"])])
def test_an_answer_may_precede_its_request(log: Log, before_ms: int, code: list[str]) -> None:
    assert codes(log.state.join([log.answer(ASKED_MS - before_ms)])) == code


@pytest.mark.parametrize(("late_ms", "code"), [(-1, []), (0, []), (1, ["outcome_too_late"])])
def test_an_answer_counts_until_allowed_lateness_ends(log: Log, late_ms: int, code: list[str]) -> None:
    assert codes(log.state.join([log.answer(ASKED_MS + HORIZONS.usable_ms + late_ms)])) == code


@pytest.mark.parametrize(("ahead_ms", "code"), [(30, []), (31, ["from_the_future"])])
def test_an_outcome_may_be_ahead_by_skew(log: Log, ahead_ms: int, code: list[str]) -> None:
    time_ms = log.now_ms + ahead_ms
    assert codes(log.state.join([log.answer(time_ms, asked_ms=time_ms)])) == code


def test_an_answer_must_state_its_request_time(log: Log) -> None:
    assert codes(log.state.join([log.answer(ASKED_MS, asked_ms=None)])) == ["request_time_missing"]


@pytest.mark.parametrize(("passed_ms", "settled"), [(-1, False), (0, False), (1, True)])
def test_an_answer_waits_for_its_ranking(log: Log, passed_ms: int, settled: bool) -> None:
    log.state.join([log.answer(ASKED_MS), log.rank(ASKED_MS + HORIZONS.disorder_ms + passed_ms, "later")])
    assert codes(log.reach(5_000)) == (["unknown_request"] if settled else [])


@pytest.mark.parametrize(("behind_ms", "code"), [(39, []), (40, []), (41, ["ranking_too_late"])])
def test_a_ranking_may_jump_back_by_disorder(log: Log, behind_ms: int, code: list[str]) -> None:
    log.state.join([log.rank(ASKED_MS + behind_ms, "first"), log.rank(ASKED_MS)])
    assert codes(log.reach(5_000)) == code


def test_customers_may_share_a_request_id(log: Log) -> None:
    log.state.join([log.rank(ASKED_MS), log.rank(ASKED_MS, "r", "d"), log.answer(ASKED_MS, "r", "d")])
    assert labels(log.reach(5_000)) == [("c", [0, 0, 0]), ("d", [1, 0, 0])]


def test_doubled_rankings_count_and_reused_ids_fail(log: Log) -> None:
    log.state.join([log.rank(ASKED_MS), log.rank(ASKED_MS), log.rank(ASKED_MS + 1)])
    joined = log.reach(5_000)
    assert (len(joined.labels), joined.counts["duplicate_rankings"], codes(joined)) == (1, 1, ["request_id_reused"])


def test_an_answer_by_another_customer_is_named(log: Log) -> None:
    log.state.join([log.rank(ASKED_MS), log.answer(ASKED_MS, "r", "d"), log.rank(ASKED_MS + 41, "later")])
    assert codes(log.reach(5_000)) == ["another_customer"]


def test_an_offer_never_ranked_has_no_label(log: Log) -> None:
    log.state.join([log.rank(ASKED_MS), log.answer(ASKED_MS, offer=9)])
    assert codes(log.reach(5_000)) == ["offer_not_ranked"]


def test_the_oldest_waiting_outcomes_are_shed_once(log: Log) -> None:
    log.state.join([log.answer(ASKED_MS, f"unknown{number}") for number in range(5)])
    assert [letter.record.offset for letter in log.state.shed(2)] == [0, 1]
    log.restart()
    assert log.state.waiting == 3


def test_an_older_restore_point_is_read() -> None:
    assert ClosePoint.from_text('["close",1,2,3,4,5]') == ClosePoint(1, 2, 3, 4, 5)


def test_positions_carry_where_the_state_begins(log: Log) -> None:
    log.state.join([log.rank(ASKED_MS), log.answer(ASKED_MS)])
    position = log.state.progress()[Partition("rankings", 0)]
    assert (position.offset, ClosePoint.from_text(position.metadata).outcomes) == (0, 0)


@pytest.mark.parametrize(("behind_ms", "labelled"), [(39, False), (40, True), (41, True)])
def test_straggling_outcomes_are_no_sign_of_life(log: Log, behind_ms: int, labelled: bool) -> None:
    log.state.join([log.rank(ASKED_MS), log.answer(ASKED_MS + 50)], ended=BOTH)
    log.now_ms += LONG_MS
    log.state.join([log.answer(ASKED_MS + 50 - behind_ms, "q", "q")], ended=BOTH)
    assert bool(log.state.join([], now_ms=log.now_ms + 1).labels) == labelled


@pytest.mark.parametrize(("lain_ms", "settled"), [(LONG_MS - 1, False), (LONG_MS, False), (LONG_MS + 1, True)])
def test_the_clock_settles_an_answer_lain_long(log: Log, lain_ms: int, settled: bool) -> None:
    log.state.join([log.answer(ASKED_MS)], ended=BOTH)
    assert log.state.idle_due(log.now_ms + lain_ms) == settled
    assert codes(log.state.join([], now_ms=log.now_ms + lain_ms)) == (["unknown_request"] if settled else [])


@pytest.mark.parametrize(("ahead_ms", "code"), [(30, []), (31, ["from_the_future"])])
def test_a_ranking_may_be_ahead_by_skew(log: Log, ahead_ms: int, code: list[str]) -> None:
    time_ms = log.now_ms + ahead_ms
    log.state.join([log.rank(time_ms)])
    log.now_ms += 1_000
    assert codes(log.reach(time_ms + HORIZONS.complete_ms + 1)) == code


@pytest.mark.parametrize(("to_ms", "erased"), [(ASKED_MS - 1, 0), (ASKED_MS, 1), (ASKED_MS + 1, 1)])
def test_an_erasure_covers_requests_until_its_time(log: Log, to_ms: int, erased: int) -> None:
    log.state.join([log.rank(ASKED_MS), log.append("outcomes", {"customer_id": "c", "erased_to_ms": to_ms})])
    joined = log.reach(DUE_MS + 1)
    assert (joined.counts["requests_erased"], len(joined.labels)) == (erased, 1 - erased)


@pytest.mark.parametrize("erased", [False, True])
def test_labels_written_without_positions_are_not_doubled(log: Log, erased: bool) -> None:
    value = {**ranking("r", "c", ASKED_MS), "revision": 1, "final": True, "request_time_ms": ASKED_MS}
    label = {"accepted": 0, "cause": "window_closed", "label_time_ms": ASKED_MS + HORIZONS.window_ms}
    value["offers"] = [{**offer, **label} for offer in value["offers"]]
    log.state.reread_labels([log.append("training-labels", value)])
    log.state.join([log.rank(ASKED_MS)])
    if erased:
        log.state.join([log.append("outcomes", {"customer_id": "c", "erased_to_ms": ASKED_MS})])
    log.state.written_to(5)
    assert (log.state.labels_read_back, labels_from(log)) == (1, 0)
    assert log.reach(DUE_MS + 1).labels == []
    assert (log.state.labels_read_back, labels_from(log)) == (0, 5)


def labels_from(log: Log) -> int:
    """Return the offset of the labels from which a restore would read."""
    return ClosePoint.from_text(log.state.progress()[Partition("rankings", 0)].metadata).labels


def test_an_answer_to_another_time_waits_on(log: Log) -> None:
    log.state.join([log.rank(ASKED_MS), log.answer(ASKED_MS + 50, asked_ms=ASKED_MS + 50)])
    joined = log.reach(DUE_MS + 1)
    assert (labels(joined), codes(joined), log.state.waiting) == ([("c", [0, 0, 0])], [], 2)


def test_labels_bear_the_headers_of_their_ranking() -> None:
    log = Log()
    log.state = PartitionClose(0, TOPICS, HORIZONS, rankings=0, outcomes=0, labels=0, passed=("traceparent",))
    ranked = structs.replace(log.rank(1_000), headers=(("traceparent", b"00-1"), ("content-type", b"x")))
    log.state.join([ranked])
    (label,) = log.state.join(
        [log.rank(DUE_MS + 1, "w", "w"), log.answer(DUE_MS + 1, "w", "w", asked_ms=DUE_MS + 1)]
    ).labels
    assert list(label.headers) == [("traceparent", b"00-1")]
