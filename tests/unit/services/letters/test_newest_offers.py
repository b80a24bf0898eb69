"""Letters alone say which of two is the newer statement, in whatever order they are read."""

import pytest

from stream_scorer.core.records import DeadLetter, Record
from stream_scorer.core.wire.dead_letters import dead_letter_record
from stream_scorer.core.wire.letter_reading import Letter, read_letter
from stream_scorer.services.letters.newest_offers import NewestOffers
from tests.unit.services.letters.letter_topic import LETTERS, OFFERS


def letter(time_ms: int, offset: int) -> Letter:
    refused = dead_letter_record(DeadLetter(Record(OFFERS, 0, offset, b"tea", b"{}", time_ms), "not_json", ""), LETTERS)
    read = read_letter(Record(LETTERS, 0, 0, refused.key, refused.value, 0, refused.headers))
    assert read is not None
    return read


@pytest.mark.parametrize("newer", [letter(6, 1), letter(5, 2)])
@pytest.mark.parametrize("newer_comes_first", [False, True])
def test_a_newer_letter_supersedes_the_older(newer: Letter, newer_comes_first: bool) -> None:
    older, newest = letter(5, 1), NewestOffers()
    for each in (newer, older) if newer_comes_first else (older, newer):
        newest.add(each)
    assert (newest.supersede(older), newest.supersede(newer)) == (True, False)
