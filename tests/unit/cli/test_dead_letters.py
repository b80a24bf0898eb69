"""`dead-letters` refuses what cannot be before it asks a broker, and shows letters to people."""

import json
from collections import Counter

import pytest

from stream_scorer.cli.letter_lines import (
    letter_lines,
    resent_json,
    resent_lines,
    resent_remarks,
    survey_lines,
    survey_remarks,
)
from stream_scorer.cli.times import shown_time, time_of
from stream_scorer.core.records import DeadLetter, Record
from stream_scorer.core.wire.dead_letters import VALUE_BYTES_MAX, dead_letter_record
from stream_scorer.core.wire.letter_reading import Letter, read_letter
from stream_scorer.errors import UsageError
from stream_scorer.services.letters.resending import KindResent, PassedOver, Resent
from stream_scorer.services.letters.survey import LetterCount, LetterSurvey
from tests.unit.cli.commands import exit_code_of


def letter(value: bytes | None = b"{}", code: str = "not_json", key: bytes = b"k") -> Letter:
    refused = dead_letter_record(DeadLetter(Record("requests", 1, 7, key, value, 0), code, "why"), "dead-letters")
    read = read_letter(Record("dead-letters", 3, 17, refused.key, refused.value, 1_000, refused.headers))
    assert read is not None
    return read


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["resend"], "name what to send again by --code or --topic"),
        (["resend", "--code", "not_jsn"], "got not_jsn: did you mean not_json?"),
        (["list", "--topic", "request"], "--topic must be one of"),
        (["list", "--since", "yesterday"], "--since must be so long ago (90m, 24h, 3d) or a time"),
        (["show", "17"], "a letter's place is partition@offset, such as 3@17, got '17'"),
        (["show", "others[3]@17"], "dead letters are on dead-letters, got 'others'"),
    ],
)
def test_what_cannot_be_is_refused(
    words: list[str], says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code_of(monkeypatch, "dead-letters", *words) == 2
    assert says in capsys.readouterr().err


def test_its_commands_are_listed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    exit_code_of(monkeypatch, "dead-letters", "--help")
    shown = capsys.readouterr().out
    assert all(f"\n  {name} " in shown for name in ("list", "show", "resend"))


@pytest.mark.parametrize(
    ("text", "time_ms"),
    [
        ("90m", 100_000_000 - 5_400_000),
        ("1970-01-02T00:00", 86_400_000),
        ("1970-01-02T02:00+02:00", 86_400_000),
        (None, None),
    ],
)
def test_times_are_read(text: str | None, time_ms: int | None) -> None:
    assert time_of("--since", text, 100_000_000) == time_ms


@pytest.mark.parametrize("text", ["", "9", "-1h", "9999999d", "2026-13-01"])
def test_other_times_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--since must be"):
        time_of("--since", text, 0)


def test_times_beyond_the_calendar_are_shown() -> None:
    assert (shown_time(0), shown_time(2**62)) == ("1970-01-01 00:00:00Z", f"{2**62} ms")


def test_a_letter_shows_reason_and_cure() -> None:
    lines = list(letter_lines(letter(b'{"score":1.50}'), 100))
    assert lines[0] == "reason   why (not_json)"
    assert any(line.startswith("cure     Correct the producer") for line in lines)
    assert "source   requests[1]@7, of 1970-01-01 00:00:00Z" in lines
    assert lines[-4:] == ["value    14 bytes", "  {", '    "score": 1.50', "  }"]


def test_a_letter_moves_no_terminal() -> None:
    lines = list(letter_lines(letter(b"\x1b[2J", key=b"\x1b]0;"), 100))
    assert lines[-3:] == ["key      \\x1b]0;", "value    4 bytes", "  \\x1b[2J"]


def test_bytes_are_shown_in_hexadecimal() -> None:
    assert list(letter_lines(letter(b"\xff\x00"), 100))[-1] == "  ff 00"


def test_a_long_value_is_cut() -> None:
    lines = list(letter_lines(letter(b"x" * 500), 20))
    assert lines[-2:] == ["  " + "x" * 20, "  … 480 characters more; --raw writes the value as it is"]


def test_a_shortened_value_says_so() -> None:
    lines = list(letter_lines(letter(b"x" * (VALUE_BYTES_MAX + 1)), 20))
    assert "value    16,384 bytes, the head of a longer one" in lines


def test_a_tombstone_has_no_value() -> None:
    assert list(letter_lines(letter(None, "unheard_of"), 20))[-1] == "value    none"


def test_a_survey_names_the_next_step() -> None:
    count = LetterCount("requests", "not_json")
    count.add(letter())
    seen = LetterSurvey({("requests", "not_json"): count}, [letter()], foreign=2, unread=3)
    lines = list(survey_lines(seen, "dead-letters"))
    assert lines[1].split() == ["not_json", "requests", "1", *["1970-01-01", "00:00:01Z"] * 2]
    assert lines[3] == "3@17         1970-01-01 00:00:01Z  not_json  requests[1]@7  why"
    assert lines[-1] == "\nto see one: stream-scorer dead-letters show 3@17"
    assert [line.split(" ")[0] for line in survey_remarks(seen)] == ["2", "up"]


def test_an_empty_survey_says_so() -> None:
    assert list(survey_lines(LetterSurvey(), "dead-letters")) == ["no such dead letters on dead-letters"]


def test_a_resend_says_what_stayed() -> None:
    kind = KindResent("requests", "not_json", sent=4, left=3, lost_headers=1)
    kind.skipped[PassedOver.SHORTENED] = 2
    done = Resent([kind], foreign=1, fault="the broker is away")
    assert list(resent_lines(done, dry_run=False)) == [
        f"{'not_json':<24} {'requests':<20} {4:>9} were sent again; 2 shortened, 3 left for the next time",
        "4 letters were sent again",
    ]
    assert [line.split(":")[0] for line in resent_remarks(done)] == [
        "2 letters were passed over",
        "1 of them lack some of their own headers, for which a letter had no room",
        "--max was reached",
        "1 records on the topic are no dead letters of ours, and stay",
        "it ended early",
    ]


def test_a_dry_run_says_would() -> None:
    done = Resent([KindResent("requests", "not_json", sent=1)])
    assert list(resent_lines(done, dry_run=True))[-1] == "1 letters would be sent again"


@pytest.mark.parametrize("reason", PassedOver)
def test_every_reason_is_said(reason: PassedOver) -> None:
    done = Resent([KindResent("requests", "not_json", skipped=Counter({reason: 3}))])
    assert next(resent_remarks(done)).startswith("3 letters were passed over: they ")
    assert json.dumps(resent_json(done, dry_run=False)["kinds"][0]["skipped"]) == f'{{"{reason.value}": 3}}'
