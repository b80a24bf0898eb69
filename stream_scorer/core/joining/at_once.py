"""The reconciling join of one partition: rankings, outcomes and emitted labels to the labels still owed.

State of a partition is open requests, outcomes that wait for theirs, what was emitted, and the watermark W, the progress of
event time. It is a function of three topics and rebuilt from them by `PartitionJoin.restore`. Whether a thing is forgotten, closed or
settled is decided by W alone ("past t" is W > t), so the same records give the same labels however they are batched:

    ranking   W past time + forget -> dead letter · known request -> duplicate · else open; outcomes that waited join now
    outcome   its request is erased -> nothing · is open -> joins, if the offer was ranked and the time is usable, else dead letter
              else it waits, and is settled as a dead letter once W is past time + disorder (one too late for its request, too)
    erasure   the customer's requests and outcomes up to its time are dropped, and those yet to come
    advance   close the windows that W has passed, settle, forget

What is owed is what differs from what was emitted, one revision a request and batch.
"""

import heapq
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from sys import intern

import lz4.block

from stream_scorer.core.joining.erasure import ErasedCustomers, sort_out
from stream_scorer.core.joining.event_time import EventTime
from stream_scorer.core.joining.held_outcomes import HeldOutcomes, Reach
from stream_scorer.core.joining.join_state import Joined, JoinTopics, OpenRequest, RestorePoint, Waiting
from stream_scorer.core.joining.label_tally import LabelTally
from stream_scorer.core.joining.labelling import (
    NO_ANSWERS,
    UNKNOWN,
    Horizons,
    Label,
    LabelledHead,
    RankingHead,
    answers_behind,
    labels_of,
    nothing_known,
    read_labelled_head,
    read_ranking_head,
    write_labelled,
)
from stream_scorer.core.messages import Acceptance, Erasure
from stream_scorer.core.records import DeadLetter, OutputRecord, Partition, Position, Record
from stream_scorer.core.wire.codec import decode_all


class PartitionJoin:
    """The state of one partition; does no I/O and reads no clock."""

    def __init__(
        self, number: int, topics: JoinTopics, horizons: Horizons, *, rankings: int, outcomes: int, labels: int
    ) -> None:
        """Start with nothing, at these offsets and at the beginning of event time."""
        self.number = number
        self.open: dict[str, OpenRequest] = {}
        self._topics = topics
        self._horizons = horizons
        self._waiting: HeldOutcomes[Waiting] = HeldOutcomes(lambda one: one.record.offset)
        self._erased = ErasedCustomers()
        self._time = EventTime(horizons)
        self._next = {topics.rankings: rankings, topics.outcomes: outcomes}
        self._labels_end = labels
        # read back after a restart, for requests that are not open yet
        self._emitted_before: dict[str, LabelledHead] = {}
        # by event time
        self._rankings_reach, self._outcomes_reach, self._labels_reach = Reach(), Reach(), Reach()
        self._closing: list[tuple[int, str]] = []
        self._rereading = False  # from `resume_at` to `settle_restored`
        self._forgetting: list[tuple[int, str]] = []
        self._touched: dict[str, None] = {}
        self._dead: list[DeadLetter] = []
        self._counts: Counter[str] = Counter()
        self._tally = LabelTally()

    # -- a batch ---------------------------------------------------------------------------------------------------------

    def join(self, records: Sequence[Record], *, ended: Iterable[str] = (), now_ms: int | None = None) -> Joined:
        """Take in records of this partition, in offset order per topic, and return what is owed after them.

        `ended` names the topics whose end these records reach. With `now_ms`, said only when outcomes had nothing more at that time,
        event time goes on past the newest outcome, and with both topics at their end at the pace of the clock from the newest ranking,
        so that a quiet partition closes its windows.
        """
        self._read(records)
        self._note_ends(ended)
        self._time.advance(now_ms)
        self._close()
        self._settle_all()
        return self._owed()

    def _note_ends(self, ended: Iterable[str]) -> None:
        self._time.rankings_ended |= self._topics.rankings in ended
        self._time.outcomes_ended |= self._topics.outcomes in ended
        if self._time.rankings_ended:
            self._emitted_before = {}

    def _read(self, records: Sequence[Record]) -> None:
        outcomes: list[Record] = []
        for record in records:
            self._next[record.topic] = record.offset + 1
            if record.topic == self._topics.rankings:
                self._time.rankings_ended = False
                self._read_ranking(record)
            else:
                self._time.outcomes_ended = False
                outcomes.append(record)
        decoded = decode_all(outcomes, Acceptance)
        dead, erasures = sort_out(decoded.dead_letters)
        self._dead += dead
        for record, acceptance in zip(decoded.records, decoded.messages, strict=True):
            self._read_outcome(record, acceptance)
        for record, erasure in erasures:
            self._erase(record, erasure)

    def _read_ranking(self, record: Record) -> None:
        head = read_ranking_head(record.value)
        if isinstance(head, str):
            self._reject(record, "bad_ranking", head)
        elif len({offer.offer_id for offer in head.offers}) < len(head.offers):
            self._reject(record, "bad_ranking", "an offer stands twice in the ranking")
        elif head.event_time_ms > record.timestamp_ms + self._horizons.skew_ms:
            self._reject(
                record,
                "from_the_future",
                f"event_time_ms must be at most {self._horizons.skew_ms} ms after the broker's time",
            )
        elif self.watermark_ms > head.event_time_ms + self._horizons.forget_ms:
            self._reject(
                record,
                "ranking_too_late",
                f"the request is more than {self._horizons.forget_ms} ms behind the watermark",
            )
        elif (known := self.open.get(head.request_id)) is None:
            self._open(record, head)
        elif known.time_ms == head.event_time_ms:
            self._counts["duplicate_rankings"] += 1
        else:
            self._reject(record, "request_id_reused", "the request id was used before with another event_time_ms")

    def _open(self, record: Record, head: RankingHead) -> None:
        self._time.ranking(head.event_time_ms, record.timestamp_ms)
        # requests share their offers' ids: a million open ones would hold ten million strings
        offers = tuple(intern(offer.offer_id) for offer in head.offers)
        request = OpenRequest(lz4.block.compress(record.value or b""), head.customer_id, head.event_time_ms, offers)
        request.emitted = nothing_known(len(head.offers))
        if (emitted := self._emitted_before.pop(head.request_id, None)) is not None:
            request.emitted, request.revision, request.final = emitted.labels(), emitted.revision, emitted.final
        self.open[head.request_id] = request
        if self._erased.cover(head.customer_id, head.event_time_ms):
            request.erase()
            self._counts["requests_erased"] += 1
        self._rankings_reach.note(record.offset, head.event_time_ms)
        turn = (head.event_time_ms, head.request_id)
        # what had closed when the positions were committed has said so; to sift a million turns afterwards holds all threads up
        if not (self._rereading and self.watermark_ms > head.event_time_ms + self._horizons.window_ms):
            heapq.heappush(self._closing, turn)
        heapq.heappush(self._forgetting, turn)
        for waiting in self._waiting.take(head.request_id):
            if self._too_late(request, waiting.acceptance):
                self._waiting.put_back(head.request_id, replace(waiting, too_late=True))
            else:
                self._answer(request, waiting)

    def _read_outcome(self, record: Record, acceptance: Acceptance) -> None:
        time_ms = acceptance.event_time_ms
        if time_ms > record.timestamp_ms + self._horizons.skew_ms:
            self._reject(
                record,
                "from_the_future",
                f"event_time_ms must be at most {self._horizons.skew_ms} ms after the broker's time",
            )
            return
        self._time.outcome(time_ms)
        request = self.open.get(acceptance.request_id)
        if request.erased if request is not None else self._erased and self._of_erased(acceptance):
            self._counts["outcomes_erased"] += 1
            return
        waiting = Waiting(record, acceptance, request is not None and self._too_late(request, acceptance))
        if request is not None and not waiting.too_late:
            self._outcomes_reach.note(record.offset, time_ms)
            self._answer(request, waiting)
        elif self.watermark_ms > time_ms + self._horizons.disorder_ms:
            self._settle(waiting)
        else:
            self._outcomes_reach.note(record.offset, time_ms)
            self._waiting.hold(acceptance.request_id, waiting, time_ms)

    def _too_late(self, request: OpenRequest, acceptance: Acceptance) -> bool:
        return acceptance.event_time_ms > request.time_ms + self._horizons.window_ms + self._horizons.late_ms

    def _answer(self, request: OpenRequest, waiting: Waiting) -> None:
        """Let an outcome count for its request, or say why it cannot."""
        if request.erased:
            self._counts["outcomes_erased"] += 1
            return
        acceptance, horizons = waiting.acceptance, self._horizons
        place = request.place(acceptance.offer_id)
        if acceptance.customer_id != request.customer_id:
            self._reject(waiting.record, "another_customer", "the request was another customer's")
        elif place is None:
            self._reject(waiting.record, "offer_not_ranked", "the offer was not in the ranking of this request")
        elif acceptance.event_time_ms < request.time_ms - horizons.back_ms:
            self._reject(
                waiting.record,
                "before_its_request",
                f"the answer is more than {horizons.back_ms} ms before its request",
            )
        else:
            before = request.answers.get(place, NO_ANSWERS)
            after = before.with_answer(acceptance.accepted, acceptance.event_time_ms)
            self._counts["outcomes_joined" if after != before else "duplicate_outcomes"] += 1
            request.answer(place, after)
            self._touched[acceptance.request_id] = None

    # -- erasure -----------------------------------------------------------------------------------------------------------

    def _erase(self, record: Record, erasure: Erasure) -> None:
        if self.watermark_ms > erasure.erased_to_ms + self._horizons.keep_ms:
            return  # nothing so old is held, and nothing so old is taken in
        self._erased.note(erasure)
        self._outcomes_reach.note(record.offset, erasure.erased_to_ms)
        for request in self.open.values():
            if not request.erased and self._erased.cover(request.customer_id, request.time_ms):
                request.erase()
                self._counts["requests_erased"] += 1
        self._counts["outcomes_erased"] += self._waiting.drop(lambda one: self._of_erased(one.acceptance))

    def _of_erased(self, acceptance: Acceptance) -> bool:
        """Return whether an outcome without its ranking can belong to erased requests only."""
        requested_ms = acceptance.request_time_ms
        asked_ms = acceptance.event_time_ms + self._horizons.back_ms if requested_ms is None else requested_ms
        return self._erased.cover(acceptance.customer_id, asked_ms)

    # -- event time --------------------------------------------------------------------------------------------------------

    @property
    def watermark_ms(self) -> int:
        """Return W."""
        return self._time.watermark_ms

    def idle_due(self, now_ms: int) -> bool:
        """Return whether the clock alone would make something due."""
        watermark_ms, closing_ms = self._time.would_be(now_ms)
        closing = bool(self._closing) and closing_ms > self._closing[0][0] + self._horizons.window_ms
        turn_ms = self._waiting.turn_ms
        settling = turn_ms is not None and watermark_ms > turn_ms + self._horizons.disorder_ms
        forgetting = bool(self._forgetting) and watermark_ms > self._forgetting[0][0] + self._horizons.forget_ms
        return closing or settling or forgetting

    def _close(self) -> None:
        while self._closing and self._time.closing_ms > self._closing[0][0] + self._horizons.window_ms:
            self._touched[heapq.heappop(self._closing)[1]] = None

    def _settle_all(self) -> None:
        while (
            turn_ms := self._waiting.turn_ms
        ) is not None and self.watermark_ms > turn_ms + self._horizons.disorder_ms:
            if (outcome := self._waiting.end_turn()) is not None:
                self._settle(outcome)

    def _settle(self, waiting: Waiting) -> None:
        acceptance, horizons = waiting.acceptance, self._horizons
        usable_ms = horizons.window_ms + horizons.late_ms
        requested_ms = acceptance.request_time_ms
        if waiting.too_late or (requested_ms is not None and acceptance.event_time_ms > requested_ms + usable_ms):
            self._reject(
                waiting.record, "outcome_too_late", f"the answer is more than {usable_ms} ms after its request"
            )
        else:
            self._reject(
                waiting.record, "unknown_request", "no ranking of this request is known, or it is forgotten by now"
            )

    def _forget(self) -> None:
        horizons, watermark_ms = self._horizons, self.watermark_ms
        while self._forgetting and watermark_ms > self._forgetting[0][0] + horizons.forget_ms:
            self.open.pop(heapq.heappop(self._forgetting)[1], None)
        self._rankings_reach.forget(watermark_ms - horizons.forget_ms)
        self._labels_reach.forget(watermark_ms - horizons.forget_ms)
        self._outcomes_reach.forget(watermark_ms - horizons.keep_ms)
        self._erased.forget(watermark_ms - horizons.keep_ms)

    def _reject(self, record: Record, code: str, message: str) -> None:
        self._dead.append(DeadLetter(record, code, message))

    # -- what is owed ------------------------------------------------------------------------------------------------------

    def _owed(self) -> Joined:
        labels = [
            output for request_id in self._touched if (output := self._reconcile(request_id, self.open[request_id]))
        ]
        joined = Joined(labels, self._dead, self._counts, self._tally)
        self._touched, self._dead, self._counts, self._tally = {}, [], Counter(), LabelTally()
        self._forget()
        return joined

    def _desired(self, request: OpenRequest) -> tuple[tuple[Label, ...], bool]:
        closes_ms = request.time_ms + self._horizons.window_ms
        closed = self._time.closing_ms > closes_ms
        labels = labels_of(request.answers, len(request.offers), closes_ms, closed=closed)
        # nothing yet never takes back what was emitted
        merged = tuple(new if new is not UNKNOWN else old for new, old in zip(labels, request.emitted, strict=True))
        return merged, closed or request.final

    def _reconcile(self, request_id: str, request: OpenRequest) -> OutputRecord | None:
        labels, final = self._desired(request)
        if not request.offers or (labels == request.emitted and final == request.final):
            return None
        if request.revision == 0:
            self._labels_reach.note(self._labels_end, request.time_ms)
        value, release_id = write_labelled(request.ranking, labels, revision=request.revision + 1, final=final)
        self._tally.note(release_id, request.time_ms, request.emitted, labels, was_final=request.final, final=final)
        request.emitted, request.final, request.revision = labels, final, request.revision + 1
        return OutputRecord(self._topics.labels, request.customer_id.encode(), value, partition=self.number)

    # -- where it stands ---------------------------------------------------------------------------------------------------

    def written_to(self, labels_end: int) -> None:
        """Note the offset behind the labels that are known to be written: the next ones lie at or behind it."""
        self._labels_end = max(self._labels_end, labels_end)

    @property
    def held(self) -> int:
        """Return how many requests and waiting outcomes are held in memory."""
        return len(self.open) + len(self._waiting)

    @property
    def full(self) -> bool:
        """Return whether enough rankings are read ahead: this join reads none ahead."""
        return False

    @property
    def hungry(self) -> bool:
        """Return whether more rankings should be read."""
        return True

    def reading(self) -> dict[Partition, Position]:
        """Return where to read on."""
        return self.progress()

    def progress(self) -> dict[Partition, Position]:
        """Return the positions to commit, the restore point beside that of the rankings."""
        rankings, outcomes = self._next[self._topics.rankings], self._next[self._topics.outcomes]
        point = RestorePoint(
            self._time.clocks(),
            self._rankings_reach.start(rankings),
            self._outcomes_reach.start(outcomes),
            self._labels_reach.start(self._labels_end),
        )
        return {
            Partition(self._topics.rankings, self.number): Position(rankings, point.to_text()),
            Partition(self._topics.outcomes, self.number): Position(outcomes),
        }

    # -- coming back -------------------------------------------------------------------------------------------------------

    def reread_labels(self, records: Iterable[Record]) -> int:
        """Take over what was emitted, before the rankings are read again. Return how many requests it was about."""
        newest: dict[str, tuple[int, LabelledHead]] = {}
        for record in records:
            head = read_labelled_head(record.value or b"")
            first, known = newest.get(head.request_id, (record.offset, head))
            newest[head.request_id] = (first, head if head.revision >= known.revision else known)
        self._emitted_before = {request_id: head for request_id, (_, head) in newest.items()}
        for first, head in newest.values():
            self._labels_reach.note(first, head.request_time_ms)
        return len(newest)

    def resume_at(self, point: RestorePoint) -> None:
        """Take over the watermark, before the records behind it are read again with `reread`."""
        self._time = EventTime(self._horizons, point.clocks)
        self._rereading = True

    def reread(self, records: Sequence[Record]) -> None:
        """Read records from before the committed positions again; what they caused was emitted then."""
        positions = dict(self._next)
        self._read(records)
        self._next = positions
        self._dead, self._counts, self._touched = [], Counter(), {}

    def settle_restored(self) -> int:
        """Finish a restore: at the committed watermark nothing is owed. Return how many answers were left out.

        An answer that would be owed here had been settled as a dead letter before its ranking came; it counts no more.
        """
        left_out = 0
        self._rereading = False
        for request in [one for one in self.open.values() if one.answers]:
            labels, _ = self._desired(request)
            for place in [place for place in request.answers if labels[place] != request.emitted[place]]:
                request.answer(place, answers_behind(request.emitted[place]))
                left_out += 1
        self._settle_all()
        self._dead, self._counts, self._touched = [], Counter(), {}
        self._forget()
        return left_out
