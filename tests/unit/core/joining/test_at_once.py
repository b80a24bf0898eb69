"""The reconciling join of one partition: what each record comes to, with known answers at each comparison."""

from typing import Any

import msgspec
import pytest
from msgspec import structs

from stream_scorer.core.joining.at_once import PartitionJoin
from stream_scorer.core.joining.join_state import RestorePoint
from stream_scorer.core.joining.labelling import Horizons
from stream_scorer.core.joining.partition_state import Joined
from stream_scorer.core.records import Partition, Record
from stream_scorer.topic_settings import TopicSettings
from tests.join_oracle import outcome, ranking

TOPICS = TopicSettings()
HORIZONS = Horizons(window_ms=100, late_ms=80, disorder_ms=40, back_ms=20, tick_ms=1, skew_ms=30, idle_slack_ms=5)
ASKED_MS = 1_000
LAST_USABLE_MS = ASKED_MS + HORIZONS.usable_ms


class Log:
    """Both topics of one partition: every record is appended at the broker's time `now_ms`."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.now_ms = 10_000
        self.state = PartitionJoin(0, TOPICS, HORIZONS, rankings=0, outcomes=0, labels=0)

    def rank(self, time_ms: int, request: str = "r", customer: str = "c") -> Record:
        return self.append("rankings", ranking(request, customer, time_ms))

    def answer(self, time_ms: int, request: str = "r", customer: str = "c", **changes: Any) -> Record:
        value = outcome("1", request, customer, 0, accepted=True, time_ms=time_ms, asked_ms=0)
        return self.append("outcomes", {**value, "request_time_ms": None, **changes})

    def append(self, topic: str, value: dict[str, Any] | bytes | None) -> Record:
        raw = msgspec.json.encode(value) if isinstance(value, dict) else value
        offset = sum(record.topic == topic for record in self.records)
        self.records.append(Record(topic, 0, offset, b"c", raw, self.now_ms))
        return self.records[-1]

    def reach(self, time_ms: int) -> Joined:
        """Let the watermark come to that time, by records of another customer."""
        name = f"w{time_ms}-{len(self.records)}"
        return self.state.join([self.rank(time_ms, name, "w"), self.answer(time_ms, name, "w")])

    def restart(self) -> None:
        """Rebuild the state from what it would have committed."""
        progress = self.state.progress()
        at = {one.topic: position.offset for one, position in progress.items()}
        point = RestorePoint.from_text(progress[Partition("rankings", 0)].metadata)
        self.state = PartitionJoin(0, TOPICS, HORIZONS, rankings=at["rankings"], outcomes=at["outcomes"], labels=0)
        self.state.resume_at(point)
        for topic, start in (("rankings", point.rankings), ("outcomes", point.outcomes)):
            self.state.reread([one for one in self.records if one.topic == topic and start <= one.offset < at[topic]])
        self.state.settle_restored()


@pytest.fixture
def log() -> Log:
    return Log()


def codes(joined: Joined) -> list[str]:
    return [letter.code for letter in joined.dead_letters]


def labels(joined: Joined, request: str = "r", customer: str = "c") -> list[list[int | None]]:
    values = [msgspec.json.decode(one.value or b"") for one in joined.labels]
    return [
        [offer["accepted"] for offer in value["offers"]]
        for value in values
        if (value["request_id"], value["customer_id"]) == (request, customer)
    ]


@pytest.mark.parametrize(("ahead_ms", "code"), [(29, []), (30, []), (31, ["from_the_future"])])
def test_an_event_may_be_ahead_by_skew(log: Log, ahead_ms: int, code: list[str]) -> None:
    assert codes(log.state.join([log.rank(log.now_ms + ahead_ms)])) == code
    assert codes(log.state.join([log.answer(log.now_ms + ahead_ms)])) == code


@pytest.mark.parametrize(("before_ms", "code"), [(19, []), (20, []), (21, ["before_its_request"])])
def test_an_answer_may_precede_its_request(log: Log, before_ms: int, code: list[str]) -> None:
    joined = log.state.join([log.rank(ASKED_MS), log.answer(ASKED_MS - before_ms)])
    assert codes(joined) == code
    assert labels(joined) == ([] if code else [[1, None, None]])


@pytest.mark.parametrize(("late_ms", "counts"), [(-1, True), (0, True), (1, False)])
def test_an_answer_counts_until_allowed_lateness_ends(log: Log, late_ms: int, counts: bool) -> None:
    joined = log.state.join([log.rank(ASKED_MS), log.answer(LAST_USABLE_MS + late_ms)])
    assert labels(joined) == ([[1, None, None]] if counts else [])
    assert codes(joined) == []


@pytest.mark.parametrize(("passed_ms", "closed"), [(-1, False), (0, False), (1, True)])
def test_unanswered_offers_become_negatives_after_the_window(log: Log, passed_ms: int, closed: bool) -> None:
    log.state.join([log.rank(ASKED_MS)])
    joined = log.reach(ASKED_MS + HORIZONS.window_ms + passed_ms)
    assert labels(joined) == ([[0, 0, 0]] if closed else [])


@pytest.mark.parametrize(("passed_ms", "settled"), [(-1, False), (0, False), (1, True)])
def test_an_answer_waits_for_its_ranking(log: Log, passed_ms: int, settled: bool) -> None:
    log.state.join([log.answer(ASKED_MS)])
    joined = log.reach(ASKED_MS + HORIZONS.back_ms + HORIZONS.disorder_ms + passed_ms)
    assert codes(joined) == (["unknown_request"] if settled else [])


@pytest.mark.parametrize(("passed_ms", "code"), [(-1, []), (0, []), (1, ["ranking_too_late"])])
def test_a_ranking_after_its_answers_settle_fails(log: Log, passed_ms: int, code: list[str]) -> None:
    log.reach(ASKED_MS + HORIZONS.forget_ms + passed_ms)
    assert codes(log.state.join([log.rank(ASKED_MS)])) == code


def test_a_ranking_within_disorder_meets_its_answer() -> None:
    log = Log()
    minute = Horizons(1_800_000, 3_600_000, 60_000, 60_000, tick_ms=1_000, skew_ms=60_000, idle_slack_ms=2_000)
    log.now_ms, log.state = 10**9, PartitionJoin(0, TOPICS, minute, rankings=0, outcomes=0, labels=0)
    start_ms = 10**8
    log.state.join([log.answer(start_ms, "r1")])
    log.state.join([log.rank(start_ms + 62_000, "r2"), log.answer(start_ms + 62_000, "r2")])
    joined = log.state.join([log.rank(start_ms + 30_000, "r1")])
    assert labels(joined, "r1") == [[1, None, None]]


def late_by(beyond_ms: int, *, restarts: bool) -> list[str]:
    """Return what becomes of an answer that is late by 1 + `beyond_ms`, from its request's time on."""
    log, letters = Log(), []
    log.state.join([log.rank(ASKED_MS), log.answer(LAST_USABLE_MS + 1 + beyond_ms)])
    for time_ms in range(ASKED_MS, ASKED_MS + HORIZONS.remember_ms + 100, 10):
        letters += codes(log.reach(time_ms))
        if restarts:
            log.restart()
    return [code for code in letters if code != "duplicate"]


@pytest.mark.parametrize("beyond_ms", [0, 10, HORIZONS.disorder_ms, HORIZONS.settle_ms - 1, HORIZONS.settle_ms])
def test_restarts_change_no_reason_for_lateness(beyond_ms: int) -> None:
    assert late_by(beyond_ms, restarts=True) == late_by(beyond_ms, restarts=False)
    expected = "outcome_too_late" if beyond_ms < HORIZONS.settle_ms else "unknown_request"
    assert late_by(beyond_ms, restarts=False) == [expected]


def test_a_stated_request_time_proves_lateness(log: Log) -> None:
    log.state.join([log.answer(LAST_USABLE_MS + 1, request_time_ms=ASKED_MS)])
    assert codes(log.reach(LAST_USABLE_MS + 2 + HORIZONS.settle_ms)) == ["outcome_too_late"]


def test_customers_may_share_a_request_id(log: Log) -> None:
    joined = log.state.join(
        [log.rank(ASKED_MS, "r", "c"), log.rank(ASKED_MS + 5, "r", "d"), log.answer(ASKED_MS + 9, "r", "d")]
    )
    assert (labels(joined, customer="d"), labels(joined, customer="c")) == ([[1, None, None]], [])
    joined = log.reach(ASKED_MS + HORIZONS.window_ms + 6)
    assert (labels(joined, customer="d"), labels(joined, customer="c")) == ([[1, 0, 0]], [[0, 0, 0]])
    assert codes(joined) == []


def test_another_customers_answer_is_named_when_settled(log: Log) -> None:
    joined = log.state.join([log.rank(ASKED_MS), log.answer(ASKED_MS, "r", "d")])
    assert codes(joined) == []
    assert codes(log.reach(ASKED_MS + HORIZONS.settle_ms + 1)) == ["another_customer"]


def test_a_reused_id_fails_after_restarts_too(log: Log) -> None:
    log.state.join([log.rank(ASKED_MS)])
    assert codes(log.state.join([log.rank(ASKED_MS + 200)])) == ["request_id_reused"]
    log.reach(ASKED_MS + HORIZONS.remember_ms + 1)
    log.restart()
    assert labels(log.reach(ASKED_MS + 200 + HORIZONS.window_ms + 1)) == []
    assert codes(log.state.join([log.rank(ASKED_MS + 200)])) == ["request_id_reused"]


def test_requests_past_their_use_are_dropped(log: Log) -> None:
    log.state.join([log.rank(ASKED_MS), log.rank(ASKED_MS + 1)])
    log.reach(ASKED_MS + 1_000)
    log.reach(ASKED_MS + 2_000)
    assert len(log.state.open._by_id) == 1


def test_doubled_rankings_and_answers_change_nothing(log: Log) -> None:
    log.state.join([log.rank(ASKED_MS), log.answer(ASKED_MS + 1)])
    joined = log.state.join([log.rank(ASKED_MS), log.answer(ASKED_MS + 1)])
    assert (joined.labels, joined.dead_letters) == ([], [])
    assert joined.counts == {"duplicate_rankings": 1, "duplicate_outcomes": 1}


def test_an_offer_never_ranked_has_no_label(log: Log) -> None:
    joined = log.state.join([log.rank(ASKED_MS), log.answer(ASKED_MS, offer_id="o9")])
    assert codes(joined) == ["offer_not_ranked"]


def test_the_oldest_waiting_outcomes_are_shed_once(log: Log) -> None:
    log.state.join([log.answer(ASKED_MS + n, f"unknown{n}") for n in range(5)])
    letters = log.state.shed(2)
    assert [(letter.record.offset, letter.code) for letter in letters] == [
        (0, "too_many_waiting"),
        (1, "too_many_waiting"),
    ]
    log.restart()
    assert log.state.waiting == 3
    assert codes(log.reach(ASKED_MS + 1_000)) == ["unknown_request"] * 3


def test_erasures_drop_open_requests_and_waiting_outcomes(log: Log) -> None:
    log.state.join([log.rank(ASKED_MS), log.rank(ASKED_MS, "r", "d"), log.answer(ASKED_MS - 20, "q", "d")])
    erasures = [{"customer_id": name, "erased_to_ms": ASKED_MS} for name in ("c", "d")]
    joined = log.state.join([log.append("outcomes", erasure) for erasure in erasures])
    assert joined.counts == {"requests_erased": 2, "outcomes_erased": 1}
    assert codes(log.reach(ASKED_MS + 1_000)) == []


def test_a_batch_of_erasures_walks_once(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    walks: list[set[str]] = []
    monkeypatch.setattr(log.state, "_drop_erased", walks.append)
    erasures = [{"customer_id": f"c{number}", "erased_to_ms": ASKED_MS} for number in range(50)]
    log.state.join([log.append("outcomes", erasure) for erasure in erasures])
    assert [len(customers) for customers in walks] == [50]


FOREIGN = [None, b"", b"{}", b"no JSON", b"[" * 2_000 + b"]" * 2_000, b'{"a":' * 2_000 + b"1" + b"}" * 2_000]


@pytest.mark.parametrize("value", FOREIGN, ids=["tombstone", "empty", "bare", "text", "lists", "objects"])
def test_foreign_records_fail_and_foreign_labels_count(log: Log, value: bytes | None) -> None:
    assert codes(log.state.join([log.append("rankings", value)])) == ["bad_ranking"]
    assert len(log.state.join([log.append("outcomes", value)]).dead_letters) == 1
    assert log.state.reread_labels([log.append("training-labels", value)]) == 1


@pytest.mark.parametrize("name", ["request_id", "customer_id", "event_time_ms", "release_id", "features", "offers"])
def test_a_ranking_without_a_field_is_refused(log: Log, name: str) -> None:
    value = ranking("r", "c", ASKED_MS)
    del value[name]
    assert codes(log.state.join([log.append("rankings", value)])) == ["bad_ranking"]


def test_labels_of_other_offers_are_replaced(log: Log) -> None:
    foreign = ranking("r", "c", ASKED_MS)
    label = {"accepted": 1, "cause": "accepted", "label_time_ms": 1}
    offers = [{**offer, **label} for offer in foreign["offers"][:2]]
    value = {**foreign, "offers": offers, "revision": 7, "final": True, "request_time_ms": ASKED_MS}
    log.state.reread_labels([log.append("training-labels", value)])
    joined = log.state.join([log.rank(ASKED_MS), log.answer(ASKED_MS)])
    assert [msgspec.json.decode(one.value or b"")["revision"] for one in joined.labels] == [8]


def test_a_ranking_with_oversized_labels_is_refused(log: Log) -> None:
    size = len(log.rank(ASKED_MS).value or b"")
    log.state = PartitionJoin(0, TOPICS, HORIZONS, rankings=0, outcomes=0, labels=0, label_bytes_max=size + 100)
    assert codes(log.state.join([log.rank(ASKED_MS)])) == ["ranking_too_large"]


@pytest.mark.parametrize(("to_ms", "erased"), [(ASKED_MS - 1, 0), (ASKED_MS, 1), (ASKED_MS + 1, 1)])
def test_an_erasure_covers_requests_until_its_time(log: Log, to_ms: int, erased: int) -> None:
    log.state.join([log.rank(ASKED_MS)])
    joined = log.state.join([log.append("outcomes", {"customer_id": "c", "erased_to_ms": to_ms})])
    assert joined.counts["requests_erased"] == erased


@pytest.mark.parametrize(("to_ms", "erased"), [(ASKED_MS + 19, 0), (ASKED_MS + 20, 1)])
def test_an_erasure_spares_answers_of_later_requests(log: Log, to_ms: int, erased: int) -> None:
    log.state.join([log.answer(ASKED_MS)])  # its request may be as late as ASKED_MS + back
    joined = log.state.join([log.append("outcomes", {"customer_id": "c", "erased_to_ms": to_ms})])
    assert joined.counts["outcomes_erased"] == erased


@pytest.mark.parametrize(("passed_ms", "code"), [(-1, []), (0, []), (1, ["unknown_request"])])
def test_an_answer_read_late_settles_at_once(log: Log, passed_ms: int, code: list[str]) -> None:
    log.reach(ASKED_MS + HORIZONS.settle_ms + passed_ms)
    assert codes(log.state.join([log.answer(ASKED_MS)])) == code


def test_an_erasure_outlives_a_restart(log: Log) -> None:
    log.state.join([log.append("outcomes", {"customer_id": "c", "erased_to_ms": ASKED_MS})])
    log.restart()
    assert log.state.join([log.rank(ASKED_MS)]).counts["requests_erased"] == 1


def test_a_restore_leaves_settled_answers_out(log: Log) -> None:
    log.state.join([log.answer(ASKED_MS)])
    assert codes(log.reach(ASKED_MS + HORIZONS.settle_ms + 1)) == ["unknown_request"]
    log.state.join([log.rank(ASKED_MS)])
    log.restart()
    assert labels(log.reach(ASKED_MS + HORIZONS.window_ms + 1)) == [[0, 0, 0]]


def test_an_answer_beyond_lateness_waits_on(log: Log) -> None:
    late_ms = ASKED_MS + HORIZONS.usable_ms + 1
    log.state.join([log.answer(late_ms)])
    assert log.state.join([log.rank(ASKED_MS)]).labels == []
    assert codes(log.reach(late_ms + HORIZONS.settle_ms + 1)) == ["outcome_too_late"]


def labelled(log: Log, revision: int, *, final: bool = False) -> Record:
    """Write labels of the request, all accepted."""
    label = {"accepted": 1, "cause": "accepted", "label_time_ms": ASKED_MS}
    value = {**ranking("r", "c", ASKED_MS), "revision": revision, "final": final, "request_time_ms": ASKED_MS}
    return log.append("training-labels", {**value, "offers": [{**offer, **label} for offer in value["offers"]]})


@pytest.mark.parametrize("final", [False, True])
def test_restored_labels_are_not_taken_back(log: Log, final: bool) -> None:
    log.state.reread_labels([labelled(log, 1, final=final)])
    assert log.state.join([log.rank(ASKED_MS)]).labels == []
    joined = log.state.join([log.answer(ASKED_MS + 1, offer_id="o0")])
    assert labels(joined) == [[1, 1, 1]]
    assert msgspec.json.decode(joined.labels[0].value or b"")["final"] == final


def test_the_newest_revision_read_back_counts(log: Log) -> None:
    log.state.reread_labels([labelled(log, revision) for revision in (1, 2, 1)])
    joined = log.state.join([log.rank(ASKED_MS), log.answer(ASKED_MS + 1)])
    assert [msgspec.json.decode(one.value or b"")["revision"] for one in joined.labels] == [3]


def test_unclaimed_labels_go_when_rankings_are_read(log: Log) -> None:
    log.state.reread_labels([labelled(log, 1)])
    log.state.join([], ended=["outcomes"])
    assert log.state.labels_read_back == 1
    log.state.join([], ended=["rankings"])
    assert log.state.labels_read_back == 0


def test_a_restore_reads_first_revisions_again(log: Log) -> None:
    log.state.join([log.rank(ASKED_MS), log.answer(ASKED_MS)])
    log.state.written_to(5)
    position = log.state.progress()[Partition("rankings", 0)]
    assert RestorePoint.from_text(position.metadata).labels == 0


def test_labels_bear_the_headers_of_their_ranking() -> None:
    log = Log()
    log.state = PartitionJoin(0, TOPICS, HORIZONS, rankings=0, outcomes=0, labels=0, passed=("traceparent",))
    ranked = structs.replace(log.rank(1_000), headers=(("traceparent", b"00-1"), ("content-type", b"x")))
    (label,) = log.state.join([ranked, log.answer(1_100)]).labels
    assert list(label.headers) == [("traceparent", b"00-1")]
