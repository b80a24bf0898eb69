"""Dead letters sent again: each once, by code, within bounds, and never over a newer statement."""

from collections.abc import Sequence

import pytest

from stream_scorer.adapters.memory.stream import MemoryBroker, MemoryLog, MemorySink, MemorySource
from stream_scorer.core.records import OutputRecord, Partition, Position, Progress
from stream_scorer.core.wire.dead_letters import VALUE_BYTES_MAX
from stream_scorer.errors import BatchAborted, UsageError
from stream_scorer.services.letters import resending
from stream_scorer.services.letters.survey import LetterChoice
from tests.unit.services.letters.letter_topic import ACCEPTANCES, LETTERS, OFFERS, OUTCOMES, REQUESTS, LetterTopic

FEATURES = LetterChoice(codes=frozenset({"feature_kind"}))


@pytest.fixture
def topic() -> LetterTopic:
    return LetterTopic()


def test_a_second_resend_sends_nothing(topic: LetterTopic) -> None:
    for number in range(5):
        topic.refuse(key=b"k%d" % number, value=b"%d" % number)
    assert (topic.resend().sent, topic.resend().sent) == (5, 0)
    assert sorted(record.value or b"" for record in topic.resent()) == [b"0", b"1", b"2", b"3", b"4"]


def test_what_is_sent_again_is_the_record(topic: LetterTopic) -> None:
    topic.broker.append(OutputRecord(REQUESTS, b"k", b"\xff", [("traceparent", b"00-1"), ("error.code", b"forged")]))
    (record,) = topic.of(REQUESTS, b"k")
    topic.refuse_record(record)
    topic.resend()
    (again,) = topic.resent()
    assert (again.key, again.value, again.partition) == (b"k", b"\xff", record.partition)
    place = next(f"{LETTERS}[{letter.partition}]@0" for letter in topic.broker.topic(LETTERS)).encode()
    assert dict(again.headers) == {"traceparent": b"00-1", "resend.attempt": b"2", "resend.from": place}


def test_a_record_keeps_its_partition(topic: LetterTopic) -> None:
    for number in (0, 1):
        topic.broker.append(OutputRecord(REQUESTS, b"k", b"%d" % number, partition=number))
    for record in topic.of(REQUESTS, b"k"):
        topic.refuse_record(record)
    topic.resend()
    assert sorted((record.partition, record.value) for record in topic.resent()) == [(0, b"0"), (1, b"1")]


def test_other_codes_stay_for_later(topic: LetterTopic) -> None:
    topic.refuse("feature_kind")
    topic.refuse("not_json")
    assert topic.resend(FEATURES).sent == 1
    assert topic.resend(LetterChoice(codes=frozenset({"not_json"}))).sent == 1
    assert topic.resend().sent == 0


def test_a_dry_run_sends_nothing(topic: LetterTopic) -> None:
    topic.refuse()
    assert topic.resend(dry_run=True).sent == 1
    assert topic.resent() == []
    assert topic.resend().sent == 1


def test_the_bound_leaves_the_rest(topic: LetterTopic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resending, "BATCH_RECORDS_MAX", 2)
    for number in range(7):
        topic.refuse(key=b"k%d" % number)
    done = topic.resend(letters_max=5)
    assert (done.sent, done.kinds[0].left) == (5, 2)
    assert topic.resend(letters_max=5).sent == 2
    assert len(topic.resent()) == 7


class SinkOfBatches(MemorySink):
    """See MemorySink; keeps how many records each batch had."""

    def __init__(self, broker: MemoryBroker) -> None:
        super().__init__(broker)
        self.counts: list[int] = []

    def write(self, outputs: Sequence[OutputRecord], progress: Progress, source: MemorySource | MemoryLog) -> None:
        super().write(outputs, progress, source)
        self.counts.append(len(outputs))


def test_large_records_end_a_batch(topic: LetterTopic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resending, "BATCH_BYTES_MAX", 6)
    topic.sink = sink = SinkOfBatches(topic.broker)
    for _ in range(3):
        topic.refuse(value=b"{}", key=b"k")
    topic.resend()
    assert sink.counts == [2, 1]


def test_what_was_looked_at_is_committed() -> None:
    topic = LetterTopic(partitions=1)
    topic.refuse("feature_kind")
    topic.refuse("not_json")
    topic.resend(FEATURES)
    assert topic.broker.committed[f"{REQUESTS}-feature_kind", Partition(LETTERS, 0)].offset == 2


def test_the_bound_is_for_all_kinds(topic: LetterTopic) -> None:
    topic.refuse("feature_kind")
    topic.refuse("not_json")
    done = topic.resend(letters_max=1)
    assert [(kind.sent, kind.left) for kind in done.kinds] == [(1, 0), (0, 1)]


def test_a_shortened_value_is_counted(topic: LetterTopic) -> None:
    topic.refuse("record_too_large", value=b" " * (VALUE_BYTES_MAX + 1))
    done = topic.resend()
    assert (done.sent, done.kinds[0].skipped) == (0, {"shortened": 1})


def test_a_record_failing_again_has_attempts(topic: LetterTopic) -> None:
    topic.refuse()
    assert topic.resend().sent == 1
    topic.refuse_record(topic.resent()[-1])
    assert topic.resend().sent == 1
    assert [dict(record.headers)["resend.attempt"] for record in topic.resent()] == [b"2", b"3"]
    topic.refuse_record(topic.resent()[-1])
    assert topic.resend().kinds[0].skipped == {"tried_out": 1}
    assert len(topic.resent()) == 2


def test_an_unreadable_attempt_stays(topic: LetterTopic) -> None:
    topic.broker.append(OutputRecord(REQUESTS, b"k", b"{}", [("resend.attempt", b"-1")]))
    topic.refuse_record(topic.of(REQUESTS, b"k")[0])
    assert topic.resend().kinds[0].skipped == {"tried_out": 1}


def test_foreign_records_stay(topic: LetterTopic) -> None:
    topic.broker.append(OutputRecord(LETTERS, b"k", b"{}", [("error.code", b"x")]))
    topic.broker.append(OutputRecord(LETTERS, b"k", b"{}", [("source.partition", b"9" * 5_000)]))
    done = topic.resend()
    assert (done.sent, done.foreign, done.kinds) == (0, 2, [])


def test_unknown_codes_make_no_group(topic: LetterTopic) -> None:
    topic.refuse("made_up")
    done = topic.resend()
    assert (done.sent, done.kinds[0].skipped) == (0, {"unknown_code": 1})


def test_topics_of_our_own_stay(topic: LetterTopic) -> None:
    topic.refuse("bad_ranking", topic="rankings")
    done = topic.resend()
    assert (done.sent, done.kinds[0].skipped) == (0, {"no_target": 1})


def test_outcomes_go_by_way_of_acceptances(topic: LetterTopic) -> None:
    topic.refuse("unknown_request", topic=OUTCOMES)
    assert topic.resend().sent == 1
    assert (len(topic.resent(ACCEPTANCES)), len(topic.resent(OUTCOMES))) == (1, 0)


def test_requests_go_before_their_answers(topic: LetterTopic) -> None:
    topic.refuse("unknown_request", topic=OUTCOMES)
    topic.refuse("feature_kind")
    topic.refuse("offer_key", topic=OFFERS)
    topic.refuse("bad_ranking", topic="rankings")
    assert [kind.topic for kind in topic.resend().kinds] == [OFFERS, REQUESTS, OUTCOMES, "rankings"]


def test_older_letters_are_passed_over(topic: LetterTopic) -> None:
    topic.refuse(value=b"old")
    topic.clock.sleep(60)
    topic.refuse(value=b"new")
    done = topic.resend(LetterChoice(since_ms=topic.clock.now_ms()))
    assert (done.sent, done.kinds[0].skipped) == (1, {"older": 1})
    assert [record.value for record in topic.resent()] == [b"new"]
    assert topic.resend().sent == 0


def test_an_older_statement_undoes_none(topic: LetterTopic) -> None:
    topic.refuse(topic=OFFERS, key=b"a", value=b"first")
    topic.clock.sleep(1)
    topic.broker.append(OutputRecord(OFFERS, b"a", b"mended by its owner"))
    topic.refuse(topic=OFFERS, key=b"b", value=b"first")
    topic.clock.sleep(1)
    topic.refuse("not_json", topic=OFFERS, key=b"b", value=b"second")
    done = topic.resend()
    assert resending.reasons_of(done.kinds) == {"superseded": 2}
    assert [record.value for record in topic.resent(OFFERS)] == [b"second"]


def test_an_aborted_batch_is_said(topic: LetterTopic) -> None:
    topic.refuse()
    topic.sink.aborts_next = [BatchAborted("the broker is away")]
    done = topic.resend()
    assert (done.sent, done.fault) == (0, "the broker is away")
    assert topic.resend().sent == 1


def test_letters_made_anew_are_sent(topic: LetterTopic) -> None:
    topic.refuse(value=b"before")
    assert topic.resend().sent == 1
    positions = {place: at for place, at in topic.broker.committed.items() if place[1].topic == LETTERS}
    topic.broker.make_anew(LETTERS)
    topic.broker.committed.update(positions)  # as if the broker had not dropped them with the topic
    topic.refuse(value=b"after")
    assert topic.resend().sent == 1


def test_a_position_beyond_the_end_restarts(topic: LetterTopic) -> None:
    topic.refuse()
    group = f"{REQUESTS}-feature_kind"
    topic.broker.committed.update({(group, Partition(LETTERS, number)): Position(9) for number in range(2)})
    assert topic.resend().sent == 1


def test_expired_letters_are_gone(topic: LetterTopic) -> None:
    topic = LetterTopic(partitions=1)
    topic.refuse(value=b"expired")
    topic.refuse(value=b"kept")
    topic.broker.oldest[Partition(LETTERS, 0)] = 1
    assert topic.resend().sent == 1
    assert [record.value for record in topic.resent()] == [b"kept"]


def test_nothing_there_is_no_fault(topic: LetterTopic) -> None:
    assert topic.resend() == resending.Resent()


def test_a_missing_topic_is_wrong_usage(topic: LetterTopic) -> None:
    topic.broker.missing.add(LETTERS)
    with pytest.raises(UsageError, match="topic dead-letters does not exist, or this user may not see it"):
        topic.resend()
