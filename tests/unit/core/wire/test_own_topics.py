"""The partial reads of our own topics: what is read can be labelled, and whatever else is there gets a reason."""

from typing import Any

import msgspec
import pytest

from stream_scorer.core.messages import LIMIT_MAX, LabelledRanking
from stream_scorer.core.records import Record
from stream_scorer.core.wire.codec import decode_all
from stream_scorer.core.wire.own_topics import (
    RankingHead,
    labelled_bytes_max,
    read_labelled_head,
    read_ranking_head,
    write_labelled,
)
from tests.join_oracle import OFFERS, ranking

RANKING = ranking("r", "c", 1_000)
FOREIGN = [None, b"", b"{}", b"[]", b"no JSON", b"\xff", b"[" * 2_000, b'{"features":' * 2_000 + b"1" + b"}" * 2_000]


def with_offer(**changes: Any) -> dict[str, Any]:
    first, *others = RANKING["offers"]
    return {**RANKING, "offers": [{**first, **changes}, *others]}


def nested(depth: int) -> bytes:
    lists = b"[" * depth + b"]" * depth
    return msgspec.json.encode({**RANKING, "features": {"x": msgspec.Raw(lists)}})


@pytest.mark.parametrize("value", FOREIGN)
def test_foreign_bytes_raise_nothing_when_read(value: bytes | None) -> None:
    assert isinstance(read_ranking_head(value), str)
    assert read_labelled_head(value) is None


@pytest.mark.parametrize(
    "value",
    [
        with_offer(rank=0),
        with_offer(rank=LIMIT_MAX + 1),
        with_offer(rank="1"),
        with_offer(score=None),
        with_offer(propensity=0),
        with_offer(propensity=1.5),
        with_offer(features=[]),
        with_offer(offer_id="o1"),
        with_offer(offer_id=""),
        {**RANKING, "features": None},
        {**RANKING, "event_time_ms": -1},
        {**RANKING, "event_time_ms": 10**30},
        {**RANKING, "customer_id": "c" * 257},
    ],
)
def test_a_ranking_beyond_the_contract_is_refused(value: dict[str, Any]) -> None:
    assert isinstance(read_ranking_head(msgspec.json.encode(value)), str)


@pytest.mark.parametrize("depth", [300, 900, 2_000])
def test_depth_is_bounded_before_parsing(depth: int) -> None:
    assert read_ranking_head(nested(depth)) == "the value is nested more than 64 deep"


def test_brackets_in_texts_are_no_depth() -> None:
    texts = ['[{"' * 500, "\\" * 3 + "[" * 500]
    head = read_ranking_head(msgspec.json.encode({**RANKING, "features": {"x": texts}}))
    assert isinstance(head, RankingHead)


def test_labelled_rankings_read_back() -> None:
    labels = [(1, "accepted", 5), (0, "declined", 6), (None, None, None)]
    value, release_id = write_labelled(msgspec.json.encode(RANKING), labels, revision=3, final=False)
    head = read_labelled_head(value)
    assert head is not None
    assert (head.request_id, head.customer_id, head.revision, head.final, release_id) == ("r", "c", 3, False, "r")
    assert [(offer.accepted, offer.cause, offer.label_time_ms) for offer in head.offers] == labels
    assert decode_all([Record("t", 0, 0, None, value, 0)], LabelledRanking).dead_letters == []


def test_labels_fit_the_room_left_for_them() -> None:
    raw = msgspec.json.encode(RANKING)
    labels = [(None, "late_acceptance", 253_402_300_799_999)] * OFFERS
    value, _ = write_labelled(raw, labels, revision=2**53, final=False)
    assert len(value) <= labelled_bytes_max(len(raw), OFFERS)


@pytest.mark.parametrize("change", [{"revision": 0}, {"revision": 2**60}, {"request_time_ms": -1}, {"offers": None}])
def test_labels_beyond_the_contract_are_foreign(change: dict[str, Any]) -> None:
    label = {"request_id": "r", "customer_id": "c", "request_time_ms": 1, "revision": 1, "final": True, "offers": []}
    assert read_labelled_head(msgspec.json.encode(label)) is not None
    assert read_labelled_head(msgspec.json.encode({**label, **change})) is None
