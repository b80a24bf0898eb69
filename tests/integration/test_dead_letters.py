"""Dead letters on a real broker: sent again exactly once."""

import json
from contextlib import closing
from typing import Any

import pytest

from stream_scorer.adapters.kafka.feed import KafkaFeed
from stream_scorer.core.records import DeadLetter, OutputRecord, Record
from stream_scorer.core.wire.dead_letters import dead_letter_record
from stream_scorer.errors import StreamError
from stream_scorer.wiring.letters import resend_door
from tests.ring import Ring

LETTERS = 300


def refuse(ring: Ring, numbers: range, code: str) -> None:
    """Write letters about requests, as a ranker does."""
    topic = ring.topics.requests
    records = [Record(topic, 0, number, b"k", b"%d" % number, 1_700_000_000_000, [("own", b"x")]) for number in numbers]
    feed = KafkaFeed({"bootstrap.servers": ring.kafka}, ring.topics.dead_letters)
    feed.send([dead_letter_record(DeadLetter(record, code, "why"), ring.topics.dead_letters) for record in records])
    feed.flush()
    assert not feed.failures()


def resend(ring: Ring) -> dict[str, Any]:
    done = ring.command("dead-letters", "resend", "--code", "feature_kind", "--json")
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_letters_are_sent_exactly_once(ring: Ring) -> None:
    refuse(ring, range(LETTERS), "feature_kind")
    refuse(ring, range(LETTERS, LETTERS + 10), "not_json")
    _two_at_once_cannot_both_commit(ring)
    assert resend(ring)["sent"] == LETTERS
    refuse(ring, range(1_000, 1_001), "feature_kind")
    assert resend(ring)["sent"] == 1
    again = ring.read(ring.topics.requests)
    assert sorted(int(record.value or b"") for record in again) == [*range(LETTERS), 1_000]
    assert {dict(record.headers)["resend.attempt"] for record in again} == {b"2"}


def _two_at_once_cannot_both_commit(ring: Ring) -> None:
    kind = (ring.topics.requests, "feature_kind")
    with resend_door(ring.settings(), kind, dry_run=False) as first:
        with resend_door(ring.settings(), kind, dry_run=False) as second:
            assert second.sink is not None
        assert first.sink is not None
        with pytest.raises(StreamError, match="failed"), closing(first.reader):
            first.sink.write([OutputRecord(ring.topics.requests, b"k", b"-1")], {}, first.reader)
