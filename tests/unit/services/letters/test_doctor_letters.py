"""The doctor's line about dead letters."""

import pytest

from stream_scorer.services.letters import doctor_letters
from stream_scorer.services.letters.doctor_letters import letter_findings
from tests.unit.services.letters.letter_topic import LETTERS, LetterTopic

DAY_S = 86_400


@pytest.fixture
def topic() -> LetterTopic:
    return LetterTopic(partitions=1)


def finding_of(topic: LetterTopic) -> tuple[str, str]:
    (finding,) = letter_findings(topic.reader(), LETTERS, now_ms=topic.clock.now_ms())
    return finding.state, finding.says


def test_no_letters_are_well(topic: LetterTopic) -> None:
    assert finding_of(topic) == ("ok", "none in the last day")


def test_letters_of_the_day_warn(topic: LetterTopic) -> None:
    topic.refuse("unknown_request")
    topic.clock.sleep(DAY_S + 1)
    for code in ("not_json", "feature_kind", "feature_kind"):
        topic.refuse(code)
    assert finding_of(topic) == ("warning", "3 in the last day: 2 feature_kind, 1 not_json")


def test_further_codes_are_counted(topic: LetterTopic) -> None:
    for number in range(7):
        topic.refuse(f"code_{number}")
    assert finding_of(topic)[1].endswith("1 code_4, 2 further codes")


def test_what_is_not_read_is_said(topic: LetterTopic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_letters, "READ_MAX", 2)
    for _ in range(3):
        topic.refuse()
    assert finding_of(topic) == ("warning", "at least 2 in the last day: 2 feature_kind")


def test_older_letters_unread_are_no_matter(topic: LetterTopic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_letters, "READ_MAX", 4)
    for _ in range(5):
        topic.refuse()
    topic.clock.sleep(DAY_S + 1)
    topic.refuse()
    assert finding_of(topic) == ("warning", "1 in the last day: 1 feature_kind")


def test_a_missing_topic_is_no_finding(topic: LetterTopic) -> None:
    topic.broker.missing.add(LETTERS)
    assert list(letter_findings(topic.reader(), LETTERS, now_ms=0)) == []
