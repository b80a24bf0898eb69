"""Simulated customers at the ring's edge, who send requests, read rankings and answer over the topics."""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

import msgspec
import numpy as np

from stream_scorer.core.messages import Acceptance, CustomerRequest, Ranking
from stream_scorer.core.records import OutputRecord, Record
from stream_scorer.core.wire.codec import decode_all, encode
from stream_scorer.demo.tally import SeenRanking
from stream_scorer.ports import Clock, RecordFeed, RecordSource
from stream_scorer.simulation.world import World, customer_row, offer_row

DRAWN_AT_ONCE = 500
RECORDS_MAX = 2_000


@dataclass(frozen=True, slots=True)
class CrowdTopics:
    """The topics that customers write and read."""

    requests: str
    acceptances: str
    rankings: str
    labels: str
    dead_letters: str


class _CountedOffer(msgspec.Struct):
    """What is counted of a labelled offer."""

    offer_id: str
    cause: str | None = None


class _CountedLabels(msgspec.Struct):
    """What is counted of a labelled ranking."""

    request_id: str
    revision: int
    final: bool
    offers: list[_CountedOffer]


_labelled = msgspec.json.Decoder(_CountedLabels)


class Crowd:
    """The customers of a simulated world, in one thread; `source` reads rankings, labels and dead letters."""

    def __init__(
        self,
        world: World,
        rng: np.random.Generator,
        feed: RecordFeed,
        source: RecordSource,
        *,
        topics: CrowdTopics,
        rate_per_s: float,
        delay_ms: tuple[int, int],
        clock: Clock,
    ) -> None:
        """Start `rate_per_s` requests a second, each answered `delay_ms` (from, to) after its ranking arrived."""
        self._world, self._rng, self._feed, self._source = world, rng, feed, source
        self._topics, self._rate_per_s, self._delay_ms, self._clock = topics, rate_per_s, delay_ms, clock
        self._upcoming: deque[CustomerRequest] = deque()
        self._sent_ms: dict[str, int] = {}
        self._answers: list[tuple[int, str, Acceptance]] = []
        self._causes: dict[tuple[str, str], str] = {}
        self._final: set[str] = set()
        self.sent: Counter[str] = Counter()
        self.ranked = 0
        self.doubled = 0
        self.dead_letters: Counter[str] = Counter()
        self.labels: Counter[str] = Counter()
        """Labels on the topic by cause, each by its latest revision."""

    def step(self, *, wait_s: float, sending: bool = True) -> list[SeenRanking]:
        """Send what is due, wait at most `wait_s` for records, and return the rankings among them."""
        now_ms = self._clock.now_ms()
        if sending:
            self._send_requests(now_ms)
        else:
            self._upcoming.clear()
        self._send_answers(now_ms)
        records = self._source.fetch(records_max=RECORDS_MAX, wait_s=wait_s, linger_s=0.0).records
        by_topic: dict[str, list[Record]] = {}
        for record in records:
            by_topic.setdefault(record.topic, []).append(record)
        self._count_labels(by_topic.get(self._topics.labels, []))
        for record in by_topic.get(self._topics.dead_letters, []):
            self.dead_letters[dict(record.headers).get("error.code", b"unknown").decode()] += 1
        return self._read_rankings(by_topic.get(self._topics.rankings, []))

    @property
    def waiting(self) -> int:
        """Return how many requests have no ranking yet."""
        return len(self._sent_ms)

    @property
    def unanswered(self) -> int:
        """Return how many answers are not sent yet."""
        return len(self._answers)

    @property
    def open_labels(self) -> int:
        """Return how many rankings with offers have no final labels yet."""
        return self.ranked - len(self._final)

    def _send_requests(self, now_ms: int) -> None:
        if not self._upcoming:
            self._upcoming.extend(
                self._world.requests(self._rng, DRAWN_AT_ONCE, start_ms=now_ms, rate_per_s=self._rate_per_s)
            )
        due: list[CustomerRequest] = []
        while self._upcoming and self._upcoming[0].event_time_ms <= now_ms:
            due.append(self._upcoming.popleft())
        self._sent_ms.update((request.request_id, now_ms) for request in due)
        self._send(self._topics.requests, due)

    def _send_answers(self, now_ms: int) -> None:
        due: list[Acceptance] = []
        while self._answers and self._answers[0][0] <= now_ms:
            due.append(heappop(self._answers)[2])
        self._send(self._topics.acceptances, due)
        self.sent["accepted"] += sum(answer.accepted for answer in due)

    def _send(self, topic: str, messages: Sequence[CustomerRequest | Acceptance]) -> None:
        self._feed.send([OutputRecord(topic, message.customer_id.encode(), encode(message)) for message in messages])
        self.sent[topic] += len(messages)

    def _read_rankings(self, records: Sequence[Record]) -> list[SeenRanking]:
        decoded, now_ms = decode_all(records, Ranking), self._clock.now_ms()
        seen: list[SeenRanking] = []
        for ranking, record in zip(decoded.messages, decoded.records, strict=True):
            sent_ms = self._sent_ms.pop(ranking.request_id, None)
            if sent_ms is None:
                self.doubled += 1
                continue
            self.ranked += bool(ranking.offers)
            waited_ms = now_ms - ranking.event_time_ms  # customers answer after the ranking has come
            delay_ms = (waited_ms + self._delay_ms[0], waited_ms + self._delay_ms[1])
            answers = self._world.answers(self._rng, [ranking], delay_ms=delay_ms)
            for answer in answers:
                heappush(self._answers, (answer.event_time_ms, answer.acceptance_id, answer))
            accepted = any(answer.accepted for answer in answers)
            latency_ms = max(0, record.timestamp_ms - sent_ms)
            seen.append(SeenRanking(ranking, latency_ms, now_ms, accepted, self._expected(ranking)))
        return seen

    def _expected(self, ranking: Ranking) -> float:
        offers = np.array([[offer_row(offer.offer_id) for offer in ranking.offers]], np.int64)
        return float(self._world.rates(np.array([customer_row(ranking.customer_id)]), offers)[0])

    def _count_labels(self, records: Sequence[Record]) -> None:
        for record in records:
            labelled = _labelled.decode(record.value or b"")
            for offer in labelled.offers:
                if offer.cause is not None:
                    self._count_label((labelled.request_id, offer.offer_id), offer.cause)
            if labelled.final:
                self._final.add(labelled.request_id)

    def _count_label(self, example: tuple[str, str], cause: str) -> None:
        before = self._causes.get(example)
        if before != cause:
            self._causes[example] = cause
            self.labels[cause] += 1
            if before is not None:
                self.labels[before] -= 1
