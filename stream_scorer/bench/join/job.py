"""The join's reference job: rankings as the ranker writes them; every tenth is accepted three minutes later."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from stream_scorer.bench import job
from stream_scorer.core.joining.at_once import PartitionJoin
from stream_scorer.core.joining.join_state import JoinTopics
from stream_scorer.core.records import Record
from stream_scorer.services.learning.publisher import draft_release
from stream_scorer.services.operating.scoring import score
from stream_scorer.services.streaming.joiner import State

REQUESTS_PER_ACCEPTANCE = 10
ANSWERED_AFTER_MS = 180_000
KINDS = 512


@dataclass(frozen=True, slots=True)
class RankingKind:
    """A ranking's fields, still encoded, and its offers; each use of it gets ids and a time of its own."""

    fields: dict[str, msgspec.Raw]
    offer_ids: Sequence[str]


class _ScoredOffer(msgspec.Struct):
    offer_id: str


class _Offers(msgspec.Struct):
    offers: list[_ScoredOffer]


def ranking_kinds(offers: int) -> list[RankingKind]:
    """Rank the reference job's requests."""
    draft = draft_release(job.model(), job.offers(offers), created_ms=job.START_MS, embedded=lambda done: None)
    scored = score(job.requests(KINDS), draft.release, ranking_bytes_max=1_000_000)
    return [_kind(value) for batch in scored for value in batch.rankings]


def _kind(value: bytes) -> RankingKind:
    ids = [offer.offer_id for offer in msgspec.json.decode(value, type=_Offers).offers]
    return RankingKind(msgspec.json.decode(value, type=dict[str, msgspec.Raw]), ids)


@dataclass(frozen=True, slots=True)
class JoinJob:
    """Makes rankings and acceptances by their number, with a ranking every `step_ms`."""

    topics: JoinTopics
    kinds: Sequence[RankingKind]
    step_ms: int

    def time_ms(self, number: int) -> int:
        """Return the event time of a ranking."""
        return job.START_MS + number * self.step_ms

    def acceptances(self, rankings: int) -> int:
        """Return how many acceptances have happened by the time of the last of so many rankings."""
        return max(0, (rankings - 1 - ANSWERED_AFTER_MS // self.step_ms) // REQUESTS_PER_ACCEPTANCE + 1)

    def ranking(self, number: int) -> Record:
        """Return the ranking of a number as a record."""
        kind, time_ms = self.kinds[number % len(self.kinds)], self.time_ms(number)
        fields = {"request_id": f"request-{number:09}", "customer_id": str(number), "event_time_ms": time_ms}
        # The encoder's buffer is larger than its content, while a Kafka client's records are not. The copy makes the
        # measured memory comparable.
        value = bytes(memoryview(msgspec.json.encode({**kind.fields, **fields})))
        return Record(self.topics.rankings, 0, number, str(number).encode(), value, time_ms)

    def acceptance(self, number: int) -> Record:
        """Return the acceptance of a number as a record."""
        ranking = number * REQUESTS_PER_ACCEPTANCE
        ids = self.kinds[ranking % len(self.kinds)].offer_ids
        asked_ms, key = self.time_ms(ranking), str(ranking)
        fields = {
            "acceptance_id": f"acceptance-{number:09}",
            "request_id": f"request-{ranking:09}",
            "customer_id": key,
            "offer_id": ids[number % len(ids)],
            "accepted": True,
            "event_time_ms": asked_ms + ANSWERED_AFTER_MS,
            "request_time_ms": asked_ms,
        }
        return Record(
            self.topics.outcomes, 0, number, key.encode(), msgspec.json.encode(fields), asked_ms + ANSWERED_AFTER_MS
        )


class RankingFlow:
    """Gives a state the records of its partition in the order of event time; a full state gets no more rankings."""

    def __init__(self, job: JoinJob, state: State, batch: int) -> None:
        self._job, self._state, self._batch = job, state, batch
        self._rankings = self._acceptances = self._until = 0

    def records(self) -> list[Record]:
        """Return the records of one more batch's time."""
        self._until += self._batch
        # A state that was full is behind event time, so it may get two batches in one call.
        until = self._rankings if self._state.full else min(self._until, self._rankings + 2 * self._batch)
        rankings = [self._job.ranking(number) for number in range(self._rankings, until)]
        answered = self._job.acceptances(self._until)
        acceptances = [self._job.acceptance(number) for number in range(self._acceptances, answered)]
        self._rankings, self._acceptances = until, answered
        return rankings + acceptances


class OutcomeFlow:
    """Gives a state only acceptances: without their rankings they stay in it and wait."""

    def __init__(self, job: JoinJob, batch: int) -> None:
        self._job, self._batch, self._next = job, batch, 0

    def records(self) -> list[Record]:
        """Return the next batch of acceptances."""
        self._next += self._batch
        return [self._job.acceptance(number) for number in range(self._next - self._batch, self._next)]


def held_by(job: JoinJob, state: State, batch: int) -> RankingFlow | OutcomeFlow:
    """Return the flow of records that fills a state with its long-lived entries: open requests or waiting outcomes."""
    return RankingFlow(job, state, batch) if isinstance(state, PartitionJoin) else OutcomeFlow(job, batch)
