"""Simulated customers over topics in memory."""

from collections import Counter
from collections.abc import Sequence

import msgspec
import numpy as np
import pytest

from stream_scorer.adapters.local.clock import HandClock
from stream_scorer.adapters.memory.stream import MemoryBroker, MemorySource
from stream_scorer.core.messages import (
    Acceptance,
    CustomerRequest,
    LabelledOffer,
    LabelledRanking,
    RankedOffer,
    Ranking,
)
from stream_scorer.core.records import OutputRecord
from stream_scorer.core.wire.codec import encode
from stream_scorer.demo.crowd import Crowd, CrowdTopics
from stream_scorer.simulation.world import World

TOPICS = CrowdTopics("requests", "acceptances", "rankings", "labels", "dead")
WORLD = World.of(3, customers=50, offers=20)


class BrokerFeed:
    """A RecordFeed into the memory broker."""

    def __init__(self, broker: MemoryBroker) -> None:
        self.broker = broker

    def send(self, records: Sequence[OutputRecord]) -> None:
        for record in records:
            self.broker.append(record)

    def flush(self) -> None: ...

    def failures(self) -> Counter[str]:
        return Counter()


@pytest.fixture
def clock() -> HandClock:
    return HandClock(1_000_000)


@pytest.fixture
def broker(clock: HandClock) -> MemoryBroker:
    return MemoryBroker(2, clock)


@pytest.fixture
def crowd(broker: MemoryBroker, clock: HandClock) -> Crowd:
    source = MemorySource(broker, "crowd", [TOPICS.rankings, TOPICS.labels, TOPICS.dead_letters])
    rng = np.random.default_rng(0)
    return Crowd(
        WORLD, rng, BrokerFeed(broker), source, topics=TOPICS, rate_per_s=100, delay_ms=(100, 200), clock=clock
    )


def requests_on(broker: MemoryBroker) -> list[CustomerRequest]:
    return [CustomerRequest(**msgspec.json.decode(record.value or b"")) for record in broker.topic(TOPICS.requests)]


def rank_all(broker: MemoryBroker, *, columns: Sequence[int] = (0, 1, 2)) -> None:
    for request in requests_on(broker):
        offers = [
            RankedOffer(offer_id=f"offer-{column:06d}", rank=rank, score=0.0, propensity=1.0, features={})
            for rank, column in enumerate(columns, 1)
        ]
        ranking = Ranking(
            request_id=request.request_id,
            customer_id=request.customer_id,
            event_time_ms=request.event_time_ms,
            release_id="one",
            status="ranked",
            eligible_count=20,
            excluded={},
            features=request.features,
            offers=offers,
        )
        broker.append(OutputRecord(TOPICS.rankings, request.customer_id.encode(), encode(ranking)))


def advance(crowd: Crowd, seconds: float, *, sending: bool = True) -> list[str]:
    return [
        seen.ranking.request_id
        for _ in range(round(seconds / 0.05))
        for seen in crowd.step(wait_s=0.05, sending=sending)
    ]


def test_requests_keep_their_rate(crowd: Crowd, broker: MemoryBroker) -> None:
    advance(crowd, 10)
    assert len(requests_on(broker)) == pytest.approx(1_000, rel=0.15)
    assert crowd.waiting == crowd.sent[TOPICS.requests] == len(requests_on(broker))


def test_each_ranking_counts_once(crowd: Crowd, broker: MemoryBroker, clock: HandClock) -> None:
    advance(crowd, 1)
    clock.sleep(0.5)
    rank_all(broker)
    rank_all(broker)
    seen = crowd.step(wait_s=0.0, sending=False)
    assert len(seen) == len(requests_on(broker)) == crowd.doubled
    assert crowd.waiting == 0
    assert min(one.latency_ms for one in seen) >= 500


def test_answers_go_out_when_they_are_due(crowd: Crowd, broker: MemoryBroker) -> None:
    advance(crowd, 2)
    rank_all(broker)
    crowd.step(wait_s=0.0, sending=False)
    unanswered = crowd.unanswered
    advance(crowd, 5, sending=False)
    sent = [Acceptance(**msgspec.json.decode(record.value or b"")) for record in broker.topic(TOPICS.acceptances)]
    assert 0 < len(sent) == unanswered == crowd.sent[TOPICS.acceptances]
    assert crowd.sent["accepted"] == sum(answer.accepted for answer in sent) > 0


def test_answers_follow_their_ranking(crowd: Crowd, broker: MemoryBroker, clock: HandClock) -> None:
    advance(crowd, 2)
    clock.sleep(30)
    rank_all(broker)
    crowd.step(wait_s=0.0, sending=False)
    crowd.step(wait_s=0.0, sending=False)
    assert crowd.sent[TOPICS.acceptances] == 0
    seen_ms = clock.now_ms()
    advance(crowd, 1, sending=False)
    answers = [msgspec.json.decode(record.value or b"") for record in broker.topic(TOPICS.acceptances)]
    assert answers
    assert all(100 <= answer["event_time_ms"] - seen_ms < 200 for answer in answers)


def test_customers_accept_what_they_took(crowd: Crowd, broker: MemoryBroker) -> None:
    advance(crowd, 5)
    rank_all(broker)
    took = {seen.ranking.request_id for seen in crowd.step(wait_s=0.0, sending=False) if seen.accepted}
    advance(crowd, 5, sending=False)
    answers = [msgspec.json.decode(record.value or b"") for record in broker.topic(TOPICS.acceptances)]
    assert {answer["request_id"] for answer in answers if answer["accepted"]} == took


def test_the_latest_revision_of_labels_counts(crowd: Crowd, broker: MemoryBroker) -> None:
    for revision, cause in ((1, None), (2, "window_closed")):
        offers = [
            LabelledOffer("offer-000000", 1, 0.0, 1.0, {}, 1, "accepted", 5),
            LabelledOffer("offer-000001", 2, 0.0, 1.0, {}, 0 if cause else None, cause, 9 if cause else None),  # type: ignore[arg-type]
        ]
        labelled = LabelledRanking("r", revision, revision == 2, "c", 1, "one", {}, offers)
        broker.append(OutputRecord(TOPICS.labels, b"c", encode(labelled)))
    crowd.step(wait_s=0.0, sending=False)
    assert crowd.labels == {"accepted": 1, "window_closed": 1}


def test_a_label_that_changes_counts_once(crowd: Crowd, broker: MemoryBroker) -> None:
    for revision, cause in ((1, "window_closed"), (2, "late_acceptance")):
        offers = [LabelledOffer("offer-000000", 1, 0.0, 1.0, {}, 1, cause, 5)]  # type: ignore[arg-type]
        broker.append(
            OutputRecord(TOPICS.labels, b"c", encode(LabelledRanking("r", revision, True, "c", 1, "one", {}, offers)))
        )
        crowd.step(wait_s=0.0, sending=False)
    assert +crowd.labels == {"late_acceptance": 1}


def test_dead_letters_are_counted_by_code(crowd: Crowd, broker: MemoryBroker) -> None:
    broker.append(OutputRecord(TOPICS.dead_letters, None, b"x", [("error.code", b"not_json")]))
    crowd.step(wait_s=0.0, sending=False)
    assert crowd.dead_letters == {"not_json": 1}
