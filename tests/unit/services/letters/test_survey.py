"""What lies on the topic of dead letters."""

import pytest

from stream_scorer.core.records import OutputRecord, Partition
from stream_scorer.errors import UsageError
from stream_scorer.services.letters.survey import LetterChoice, LetterSurvey, letter_at, newest_stretches, survey
from tests.unit.services.letters.letter_topic import ACCEPTANCES, EVERY, LETTERS, LetterTopic


@pytest.fixture
def topic() -> LetterTopic:
    return LetterTopic(partitions=1)


def look(
    topic: LetterTopic, choice: LetterChoice = EVERY, *, read_max: int = 100, newest_max: int = 10
) -> LetterSurvey:
    return survey(topic.reader(), LETTERS, choice, read_max=read_max, newest_max=newest_max)


def test_letters_are_counted_by_kind(topic: LetterTopic) -> None:
    for code in ("feature_kind", "not_json", "feature_kind"):
        topic.clock.sleep(1)
        topic.refuse(code)
    seen = look(topic)
    assert [(one.code, one.count, one.newest_ms - one.oldest_ms) for one in seen.most_first()] == [
        ("feature_kind", 2, 2_000),
        ("not_json", 1, 0),
    ]


def test_the_newest_come_first(topic: LetterTopic) -> None:
    for number in range(5):
        topic.clock.sleep(1)
        topic.refuse(value=b"%d" % number)
    assert [letter.record.value for letter in look(topic, newest_max=2).newest] == [b"4", b"3"]


def test_a_choice_narrows_the_letters(topic: LetterTopic) -> None:
    topic.refuse("not_json", topic=ACCEPTANCES)
    topic.clock.sleep(10)
    now_ms = topic.clock.now_ms()
    topic.refuse("not_json")
    for choice in (
        LetterChoice(topics=frozenset({ACCEPTANCES})),
        LetterChoice(until_ms=now_ms),
        LetterChoice(since_ms=now_ms),
    ):
        assert [one.count for one in look(topic, choice).most_first()] == [1]
    assert look(topic, LetterChoice(codes=frozenset({"not_utf8"}))).counts == {}


def test_a_long_topic_is_read_from_behind(topic: LetterTopic) -> None:
    for number in range(9):
        topic.refuse(value=b"%d" % number)
    seen = look(topic, read_max=2)
    assert ([letter.record.value for letter in seen.newest], seen.unread) == ([b"8", b"7"], 7)


def test_short_partitions_leave_their_share() -> None:
    topic = LetterTopic(partitions=2)
    for number, count in ((0, 2), (1, 100)):
        for _ in range(count):
            topic.broker.append(OutputRecord(LETTERS, None, b"", partition=number))
    short, long = Partition(LETTERS, 0), Partition(LETTERS, 1)
    assert newest_stretches(topic.reader(), [short, long], 50) == ({short: (0, 2), long: (52, 100)}, 52)


def test_records_without_a_source_are_foreign(topic: LetterTopic) -> None:
    topic.broker.append(OutputRecord(LETTERS, b"k", b"{}"))
    seen = look(topic)
    assert (seen.counts, seen.foreign) == ({}, 1)


def test_one_letter_is_read_by_place(topic: LetterTopic) -> None:
    topic.refuse("not_json", value=b"{")
    letter = letter_at(topic.reader(), Partition(LETTERS, 0), 0)
    assert (letter.place, letter.code, letter.source, letter.record.value) == (
        "0@0",
        "not_json",
        Partition("requests", 0),
        b"{",
    )


@pytest.mark.parametrize(
    ("number", "offset", "says"),
    [
        (1, 0, "topic dead-letters has no partition 1"),
        (0, 5, r"no record dead-letters\[0\]@5: the partition's offsets are 0 to 0"),
        (0, 0, "no dead letter of ours"),
    ],
)
def test_a_wrong_place_says_what_is_there(topic: LetterTopic, number: int, offset: int, says: str) -> None:
    topic.broker.append(OutputRecord(LETTERS, b"k", b"{}"))
    with pytest.raises(UsageError, match=says):
        letter_at(topic.reader(), Partition(LETTERS, number), offset)
