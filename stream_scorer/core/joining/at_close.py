"""The join for long windows: rankings are read late, so nothing open is kept, and each request gets one final revision.

The cursor in `rankings` stays where a request's answers may still come. A ranking is due once no outcome that counts
for it can come any more: W, the newest outcome time, is past its time + window + late + disorder; or outcomes are at
their end, and for so long neither an outcome nor the ranking was appended. Then its labels are final, revision 1. An
outcome says when its request was made (`request_time_ms`), so whether its ranking has passed the cursor is decided by
the record alone, after a restart as before: R is the newest time among the rankings that were labelled, and an outcome
is settled as a dead letter once R is past its request's time + disorder. Requests and outcomes meet by request id and
customer. Rankings and outcomes of an erased customer are read over.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet

from msgspec.structs import replace

from stream_scorer.core.joining import reasons
from stream_scorer.core.joining.event_time import NO_TIME
from stream_scorer.core.joining.join_state import ClosePoint
from stream_scorer.core.joining.known_requests import LabelledRequests
from stream_scorer.core.joining.labelling import NO_ANSWERS, Answers, labels_of
from stream_scorer.core.joining.partition_state import PartitionState, request_key
from stream_scorer.core.joining.reasons import Reason
from stream_scorer.core.messages import Acceptance
from stream_scorer.core.records import Record
from stream_scorer.core.wire.codec import decode_all
from stream_scorer.core.wire.letter_headers import passed_headers
from stream_scorer.core.wire.own_topics import RankingHead, read_labelled_head, read_ranking_head

BUFFERED_MAX = 5_000


class PartitionClose(PartitionState[Record]):
    """The state of one partition that labels a request once, when its window is over; see the module.

    Outcomes wait undecoded: few are looked at before their ranking is due.
    """

    def _begin(self) -> None:
        self.watermark_ms = NO_TIME
        self._outcome_appended_ms = NO_TIME
        self._ahead: deque[tuple[Record, RankingHead | str]] = deque()
        self._labelled = LabelledRequests(self._horizons.disorder_ms)
        # written without its positions before a restart (at least once): id and customer -> offset of the label
        self._emitted_before: dict[tuple[str, str], int] = {}

    def _advance(self, now_ms: int | None) -> None:
        self._label(now_ms)
        self._settle(now_ms)

    # -- what is read

    def _read_ranking(self, record: Record) -> None:
        head = read_ranking_head(record.value)
        self._ahead.append((self._bare(record, head), head))

    def _read_outcome(self, record: Record, acceptance: Acceptance) -> None:
        horizons, requested_ms, time_ms = self._horizons, acceptance.request_time_ms, acceptance.event_time_ms
        if requested_ms is None:
            self._reject(record, reasons.TIME_MISSING)
        elif self._is_ahead(max(time_ms, requested_ms), record):
            self._reject(record, reasons.from_the_future(horizons))
        elif time_ms < requested_ms - horizons.back_ms:
            self._reject(record, reasons.before_its_request(horizons))
        elif time_ms > requested_ms + horizons.usable_ms or self._passed(
            acceptance.request_id, acceptance.customer_id, requested_ms
        ):
            self._reject(record, reasons.outcome_too_late(horizons))
        elif self._erased.cover(acceptance.customer_id, requested_ms):
            self._counts["outcomes_erased"] += 1
        elif record.offset >= self._shed:
            self._waiting.hold(request_key(acceptance.request_id, acceptance.customer_id), record, requested_ms)
            self._outcomes_reach.note(record.offset, requested_ms)
        if not self._is_ahead(time_ms, record):
            self._note_time(time_ms, record.timestamp_ms)

    def _note_time(self, time_ms: int, appended_ms: int) -> None:
        """Move W; an outcome far behind it is a straggler, and no sign that the partition is awake."""
        if time_ms > self.watermark_ms - self._horizons.disorder_ms:
            self._outcome_appended_ms = max(self._outcome_appended_ms, appended_ms)
        self.watermark_ms = max(self.watermark_ms, time_ms)

    def _passed(self, request_id: str, customer_id: str, requested_ms: int) -> bool:
        """Return whether the ranking of this request, if there is one, is labelled already."""
        known_ms = self._labelled.time_of(request_id, customer_id)
        return self._labelled.have_passed(requested_ms) or known_ms == requested_ms

    # -- erasure

    def _drop_erased(self, customers: AbstractSet[str]) -> None:
        keys = {customer_id.encode() for customer_id in customers}
        self._ahead = deque((self._bare(ranking, head), head) for ranking, head in self._ahead)
        self._counts["outcomes_erased"] += self._waiting.drop(
            lambda outcome: outcome.key in keys and self._of_erased(outcome)
        )

    def _bare(self, record: Record, head: RankingHead | str) -> Record:
        """Return the ranking, of an erased request without its content: its offset is still the cursor's."""
        if isinstance(head, str) or not self._erased.cover(head.customer_id, head.event_time_ms):
            return record
        return replace(record, value=None)

    def _of_erased(self, outcome: Record) -> bool:
        return any(
            self._erased.cover(acceptance.customer_id, acceptance.request_time_ms or 0)
            for acceptance in decode_all([outcome], Acceptance).messages
        )

    # -- rankings that are due

    def _label(self, now_ms: int | None) -> None:
        while self._ahead and self._due(*self._ahead[0], now_ms):
            record, head = self._ahead.popleft()
            if isinstance(head, str):
                self._reject(record, Reason("bad_ranking", head))
            elif (unfit := self._unfit(record, head)) is not None:
                self._reject(record, unfit)
            else:
                self._label_due(record, head)

    def _due(self, record: Record, head: RankingHead | str, now_ms: int | None) -> bool:
        if isinstance(head, str) or self.watermark_ms > head.event_time_ms + self._horizons.complete_ms:
            return True
        return self._at_end[self._topics.outcomes] and self._lay_long(record, now_ms)

    def _lay_long(self, record: Record, now_ms: int | None) -> bool:
        """Return whether neither the record nor any outcome was appended for as long as answers may take."""
        newest_ms = max(record.timestamp_ms, self._outcome_appended_ms)
        return now_ms is not None and now_ms - newest_ms > self._horizons.complete_ms + self._horizons.idle_slack_ms

    def _label_due(self, record: Record, head: RankingHead) -> None:
        if self._labelled.have_passed(head.event_time_ms):
            why = f"the request is more than {self._horizons.disorder_ms} ms behind those before it"
            self._reject(record, Reason("ranking_too_late", why))
        elif (known_ms := self._labelled.time_of(head.request_id, head.customer_id)) is not None:
            self._see_again(record, head, known_ms)
        else:
            self._labelled.note(record.offset, head)
            self._write(record, head)

    def _see_again(self, record: Record, head: RankingHead, known_ms: int) -> None:
        if known_ms == head.event_time_ms:
            self._counts["duplicate_rankings"] += 1
        else:
            self._reject(record, reasons.REUSED)

    def _write(self, record: Record, head: RankingHead) -> None:
        was_written = self._emitted_before.pop((head.request_id, head.customer_id), None) is not None
        if self._erased.cover(head.customer_id, head.event_time_ms):
            self._counts["requests_erased"] += 1
            return
        # taken even where nothing is written: what became of the answers is counted either way
        answers = self._answers(head)
        if was_written or not head.offers:
            return
        closes_ms = head.event_time_ms + self._horizons.window_ms
        labels = labels_of(answers, len(head.offers), closes_ms, closed=True)
        self._labels += self._writer.write_final(
            record.value or b"",
            head.customer_id,
            head.event_time_ms,
            labels,
            headers=passed_headers(record.headers, self._headers_passed),
        )

    def _answers(self, head: RankingHead) -> dict[int, Answers]:
        places = {offer.offer_id: place for place, offer in enumerate(head.offers)}
        answers: dict[int, Answers] = {}
        key = request_key(head.request_id, head.customer_id)
        decoded = decode_all(self._waiting.take(key), Acceptance)
        for record, acceptance in zip(decoded.records, decoded.messages, strict=True):
            place = places.get(acceptance.offer_id)
            if acceptance.request_time_ms != head.event_time_ms:
                self._waiting.put_back(key, record)  # it states another time: it is about another request of this id
            elif place is None:
                self._reject(record, reasons.NOT_RANKED)
            else:
                before = answers.get(place, NO_ANSWERS)
                answers[place] = before.with_answer(acceptance.accepted, acceptance.event_time_ms)
                self._counts["outcomes_joined" if answers[place] != before else "duplicate_outcomes"] += 1
        return answers

    # -- outcomes whose ranking never came

    def _settle(self, now_ms: int | None) -> None:
        while (requested_ms := self._waiting.next_ms()) is not None:
            orphan = self._waiting.next()
            if orphan is None:
                return
            if not self._labelled.have_passed(requested_ms):
                if not (self._idle() and self._lay_long(orphan, now_ms)):
                    return
                # no ranking is to come: the rankings' clock goes on to where this outcome is settled
                self._labelled.pass_by(requested_ms)
            self._settle_orphan(self._waiting.take_next(), requested_ms)

    def _settle_orphan(self, orphan: Record, requested_ms: int) -> None:
        acceptance = decode_all([orphan], Acceptance).messages[0]
        is_known = requested_ms in self._labelled.times_of(acceptance.request_id)
        self._reject(orphan, reasons.OF_ANOTHER if is_known else reasons.NEVER_RANKED)

    @staticmethod
    def _record_of(outcome: Record) -> Record:
        return outcome

    def _idle(self) -> bool:
        return all(self._at_end.values()) and not self._ahead

    def idle_due(self, now_ms: int) -> bool:
        """See PartitionState."""
        if self._ahead:
            return self._due(*self._ahead[0], now_ms)
        waiting = self._waiting.next()
        return waiting is not None and self._idle() and self._lay_long(waiting, now_ms)

    @property
    def _passed_ms(self) -> int:
        return self._labelled.settled_ms

    def _forget(self) -> None:
        super()._forget()
        self._labelled.forget()

    # -- where it stands

    @property
    def held(self) -> int:
        """See PartitionState."""
        return len(self._ahead) + len(self._waiting)

    @property
    def full(self) -> bool:
        """See PartitionState."""
        return len(self._ahead) >= BUFFERED_MAX

    @property
    def hungry(self) -> bool:
        """See PartitionState."""
        return len(self._ahead) < BUFFERED_MAX // 2

    def _cursor(self) -> int:
        return self._ahead[0][0].offset if self._ahead else super()._cursor()

    def _point(self, cursor: int) -> ClosePoint:
        return ClosePoint(
            self.watermark_ms,
            self._labelled.newest_ms,
            self._labelled.start(cursor),
            self._outcomes_reach.start(self._next[self._topics.outcomes]),
            min(self._emitted_before.values(), default=self._writer.end),
            self._outcome_appended_ms,
            self._shed,
        )

    # -- coming back: resume_at, reread_rankings, reread_labels, reread_outcomes, in this order

    def resume_at(self, point: ClosePoint) -> None:
        """Take over the clocks, before the records behind the point are read again."""
        self.watermark_ms, self._labelled.newest_ms = point.watermark_ms, point.labelled_ms
        self._outcome_appended_ms, self._shed = point.outcome_appended_ms, point.shed

    def reread_rankings(self, records: Sequence[Record]) -> None:
        """Read rankings from before the cursor again: they are labelled."""
        for record in records:
            head = read_ranking_head(record.value)
            if isinstance(head, str) or self._is_ahead(head.event_time_ms, record):
                continue
            known_ms = self._labelled.time_of(head.request_id, head.customer_id)
            if known_ms is None and not self._labelled.have_passed(head.event_time_ms):
                self._labelled.note(record.offset, head)

    def reread_labels(self, records: Iterable[Record]) -> int:
        """Take over what was written without its positions; return how many records are no labels of ours."""
        foreign = 0
        for record in records:
            head = read_labelled_head(record.value)
            if head is None:
                foreign += 1
            elif not self._passed(head.request_id, head.customer_id, head.request_time_ms):
                self._emitted_before.setdefault((head.request_id, head.customer_id), record.offset)
        return foreign

    @property
    def labels_read_back(self) -> int:
        """See PartitionState."""
        return len(self._emitted_before)

    def reread_outcomes(self, records: Sequence[Record]) -> None:
        """Read outcomes from before the committed position again; what was rejected of them was rejected then."""
        self._read_outcomes(records)
        self._start_batch()
