"""The reconciling join of one partition: rankings, outcomes and emitted labels to the labels still owed.

State of a partition is open requests, outcomes that wait for theirs, what was emitted, and the watermark W, the
progress of event time. It is a function of three topics and rebuilt from them by `reread` and its siblings. Whether a
thing is forgotten, closed or settled is decided by W alone ("past t" is W > t), so the same records give the same
labels however they are batched. Requests and outcomes meet by request id and customer:

    ranking   W past time + forget -> dead letter · known request -> duplicate · else the request is open, and the
              outcomes that waited for it join
    outcome   its request is erased -> nothing · is open and it is not too late -> joins, if the offer was ranked and
              the time is usable, else dead letter · else it waits, and is settled as a dead letter once W is past
              time + settle
    erasure   the customer's requests and outcomes up to its time are dropped, and those yet to come
    advance   close the windows that W has passed, settle, forget

What is owed is what differs from what was emitted, one revision a request and batch.
"""

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet

from stream_scorer.core.joining import reasons
from stream_scorer.core.joining.event_time import EventTime
from stream_scorer.core.joining.join_state import RestorePoint, Waiting
from stream_scorer.core.joining.known_requests import OpenRequest, OpenRequests
from stream_scorer.core.joining.labelling import NO_ANSWERS
from stream_scorer.core.joining.partition_state import PartitionState, request_key
from stream_scorer.core.joining.reasons import Reason
from stream_scorer.core.joining.written_labels import EmittedLabels
from stream_scorer.core.messages import Acceptance
from stream_scorer.core.records import Record
from stream_scorer.core.wire.kept_rankings import RankingKeeper, RankingParts, ReadRanking
from stream_scorer.core.wire.letter_headers import passed_headers


class PartitionJoin(PartitionState[Waiting]):
    """The state of one partition that labels a request as soon as it is answered; see the module."""

    def _begin(self) -> None:
        self.open = OpenRequests(self._horizons)
        self._keeper = RankingKeeper()
        self._emitted = EmittedLabels(self._writer, self._horizons)
        self._time = EventTime(self._horizons)
        self._rereading = False  # from `resume_at` to `settle_restored`

    def _start_batch(self) -> None:
        super()._start_batch()
        self._touched: dict[OpenRequest, None] = {}

    def _advance(self, now_ms: int | None) -> None:
        self._time.rankings_ended = self._at_end[self._topics.rankings]
        self._time.outcomes_ended = self._at_end[self._topics.outcomes]
        if self._time.rankings_ended:
            self._emitted.drop_read_back()
        self._time.advance(now_ms)
        closing_ms = self._time.closing_ms
        self._touched.update(dict.fromkeys(self.open.close(closing_ms)))
        self._settle_all()
        self._labels = [label for request in self._touched for label in self._emitted.owed(request, closing_ms)]

    # -- rankings

    def _read_ranking(self, record: Record) -> None:
        horizons, ranking = self._horizons, self._keeper.read(record.value)
        if isinstance(ranking, str):
            self._reject(record, Reason("bad_ranking", ranking))
            return
        head = ranking.parts
        if (unfit := self._unfit(record, head)) is not None:
            self._reject(record, unfit)
        elif self.watermark_ms > head.event_time_ms + horizons.forget_ms:
            self._remember(record, head)
            why = f"the request is more than {horizons.forget_ms} ms behind the watermark"
            self._reject(record, Reason("ranking_too_late", why))
        elif (known := self.open.get(head.request_id, head.customer_id)) is None:
            self._open(record, ranking)
        elif known.time_ms == head.event_time_ms:
            self._counts["duplicate_rankings"] += 1
        else:
            self.open.remember_until(known, head.event_time_ms)
            self._reject(record, reasons.REUSED)

    def _remember(self, record: Record, head: RankingParts) -> None:
        """Keep in mind that the request was there.

        A restore remembers all that it reads, and drops at its end those that need not be.
        """
        known = self.open.get(head.request_id, head.customer_id)
        if known is not None:
            self.open.remember_until(known, head.event_time_ms)
        elif self._rereading or self.watermark_ms <= head.event_time_ms + self._horizons.remember_ms:
            request = OpenRequest(head.request_id, head.customer_id, head.event_time_ms, record.offset)
            self.open.remember(request)

    def _open(self, record: Record, ranking: ReadRanking) -> None:
        head, kept = ranking.parts, self._keeper.keep(record.value or b"", ranking)
        self._time.ranking(head.event_time_ms, record.timestamp_ms)
        request = OpenRequest(
            head.request_id, head.customer_id, head.event_time_ms, record.offset, *kept, len(head.offers)
        )
        request.headers = passed_headers(record.headers, self._headers_passed)
        self._emitted.take_over(request)
        if self._is_erased(request):
            self._forget_content(request)
        # a window that had closed when the positions were committed has its labels: to sift a million such requests
        # at the end of a restore would block all other threads
        closed = self._rereading and self.watermark_ms > request.time_ms + self._horizons.window_ms
        self.open.open(request, closed=closed)
        key = request_key(request.request_id, request.customer_id)
        for waiting in self._waiting.take(key):
            if self._too_late(request, waiting.acceptance):
                self._waiting.put_back(key, waiting)
            else:
                self._answer(request, waiting)

    # -- outcomes

    def _read_outcome(self, record: Record, acceptance: Acceptance) -> None:
        time_ms = acceptance.event_time_ms
        if self._is_ahead(time_ms, record):
            self._reject(record, reasons.from_the_future(self._horizons))
            return
        self._time.outcome(time_ms, record.timestamp_ms)
        request = self.open.get(acceptance.request_id, acceptance.customer_id)
        if self._is_erased(request) if request is not None else self._of_erased(acceptance):
            self._counts["outcomes_erased"] += 1
            return
        waiting = Waiting(record, acceptance)
        if request is not None and not request.past and not self._too_late(request, acceptance):
            self._outcomes_reach.note(record.offset, time_ms)
            self._answer(request, waiting)
        elif self._is_settled(time_ms, self.watermark_ms):
            self._settle(waiting)
        elif record.offset >= self._shed:
            self._outcomes_reach.note(record.offset, time_ms)
            self._waiting.hold(request_key(acceptance.request_id, acceptance.customer_id), waiting, time_ms)

    def _too_late(self, request: OpenRequest, acceptance: Acceptance) -> bool:
        return acceptance.event_time_ms > request.time_ms + self._horizons.usable_ms

    def _answer(self, request: OpenRequest, waiting: Waiting) -> None:
        """Let an outcome count for its request, or state why it cannot."""
        if request.erased:
            self._counts["outcomes_erased"] += 1
            return
        acceptance = waiting.acceptance
        place = request.place(acceptance.offer_id)
        if place is None:
            self._reject(waiting.record, reasons.NOT_RANKED)
        elif acceptance.event_time_ms < request.time_ms - self._horizons.back_ms:
            self._reject(waiting.record, reasons.before_its_request(self._horizons))
        else:
            before = request.answers.get(place, NO_ANSWERS)
            after = before.with_answer(acceptance.accepted, acceptance.event_time_ms)
            self._counts["outcomes_joined" if after != before else "duplicate_outcomes"] += 1
            request.answer(place, after)
            self._touched[request] = None

    def _settle_all(self) -> None:
        while (time_ms := self._waiting.next_ms()) is not None and self._is_settled(time_ms, self.watermark_ms):
            self._settle(self._waiting.take_next())

    def _is_settled(self, time_ms: int, watermark_ms: int) -> bool:
        return watermark_ms > time_ms + self._horizons.settle_ms

    def _settle(self, waiting: Waiting) -> None:
        acceptance = waiting.acceptance
        own = self.open.get(acceptance.request_id, acceptance.customer_id)
        namesakes = self.open.namesakes(acceptance.request_id)
        self._reject(waiting.record, reasons.why_unanswerable(acceptance, own, namesakes, self._horizons))

    @staticmethod
    def _record_of(outcome: Waiting) -> Record:
        return outcome.record

    # -- erasure

    def _drop_erased(self, customers: AbstractSet[str]) -> None:
        for request in self.open.values():
            if request.customer_id in customers and not request.erased and self._is_erased(request):
                self._forget_content(request)
        self._counts["outcomes_erased"] += self._waiting.drop(lambda waiting: self._of_erased(waiting.acceptance))

    def _forget_content(self, request: OpenRequest) -> None:
        request.empty()
        request.erased = True
        self._counts["requests_erased"] += 1

    def _is_erased(self, request: OpenRequest) -> bool:
        return request.erased or self._erased.cover(request.customer_id, request.time_ms)

    def _of_erased(self, acceptance: Acceptance) -> bool:
        """Return whether an outcome without its ranking can belong to erased requests only."""
        if not self._erased:
            return False
        requested_ms = acceptance.request_time_ms
        # the request may be younger than its answer by `back`, and then need not be erased
        asked_ms = acceptance.event_time_ms + self._horizons.back_ms if requested_ms is None else requested_ms
        return self._erased.cover(acceptance.customer_id, asked_ms)

    # -- event time

    @property
    def watermark_ms(self) -> int:
        """Return W."""
        return self._time.watermark_ms

    @property
    def _passed_ms(self) -> int:
        return self.watermark_ms - self._horizons.keep_ms

    def idle_due(self, now_ms: int) -> bool:
        """See PartitionState."""
        watermark_ms, closing_ms = self._time.would_be(now_ms)
        if self.open.is_closing(closing_ms) or self.open.is_forgetting(watermark_ms):
            return True
        time_ms = self._waiting.next_ms()
        return time_ms is not None and self._is_settled(time_ms, watermark_ms)

    def _forget(self) -> None:
        super()._forget()
        self.open.forget(self.watermark_ms)
        self._emitted.forget(self.watermark_ms - self._horizons.forget_ms)

    # -- where it stands

    @property
    def held(self) -> int:
        """See PartitionState."""
        return len(self.open) + len(self._waiting)

    def _point(self, cursor: int) -> RestorePoint:
        return RestorePoint(
            self._time.clocks(),
            self.open.reach(cursor),
            self._outcomes_reach.start(self._next[self._topics.outcomes]),
            self._emitted.start(),
            self._shed,
        )

    # -- coming back: resume_at, reread_labels, reread, settle_restored, in this order

    def resume_at(self, point: RestorePoint) -> None:
        """Take over the clocks, before the records behind the point are read again."""
        self._time = EventTime(self._horizons, point.clocks)
        self._shed = point.shed
        self._rereading = True

    def reread_labels(self, records: Iterable[Record]) -> int:
        """Take over what was emitted; return how many records are no labels of ours."""
        return self._emitted.reread(records)

    @property
    def labels_read_back(self) -> int:
        """See PartitionState."""
        return len(self._emitted)

    def reread(self, records: Sequence[Record]) -> None:
        """Read records from before the committed positions again; what they caused was emitted then."""
        positions = dict(self._next)
        self._read(records)
        self._next = positions
        self._start_batch()

    def settle_restored(self) -> int:
        """Finish a restore: at the committed watermark nothing is owed. Return how many answers were left out.

        An answer that would be owed here had been settled as a dead letter before its ranking came; it counts no more.
        """
        self._rereading = False
        answered = [request for request in self.open.values() if request.answers]
        left_out = sum(self._emitted.leave_out_unowed(request, self._time.closing_ms) for request in answered)
        self._start_batch()
        self._forget()
        return left_out
