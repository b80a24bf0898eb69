"""The join for long windows: rankings are read late, so nothing open is kept, and each request gets one final revision.

The cursor in `rankings` stays where a request's answers may still come. A ranking is due once no outcome that counts
for it can come any more: W, the newest outcome time, is past its time + window + late + disorder; or outcomes are at
their end, and for so long neither an outcome nor the ranking was appended. Then its labels are final, revision 1. An
outcome says when its request was made (`request_time_ms`), so whether its ranking has passed the cursor is decided by
the record alone, after a restart as before: R is the newest time among the rankings that were labelled, and an outcome
is settled as a dead letter once R is past its request's time + disorder. Requests and outcomes meet by request id and
customer. Rankings and outcomes of an erased customer are read over.
"""

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import replace
from sys import maxsize

from stream_scorer.core.joining import reasons
from stream_scorer.core.joining.erasure import ErasedCustomers, sort_out
from stream_scorer.core.joining.event_time import NO_TIME
from stream_scorer.core.joining.held_outcomes import HeldOutcomes, Reach
from stream_scorer.core.joining.join_state import ClosePoint, Joined, JoinTopics, label_records
from stream_scorer.core.joining.label_tally import LabelTally
from stream_scorer.core.joining.labelling import (
    NO_ANSWERS,
    UNKNOWN,
    Answers,
    Horizons,
    labels_of,
)
from stream_scorer.core.joining.reasons import Reason
from stream_scorer.core.messages import Acceptance, Erasure
from stream_scorer.core.records import DeadLetter, OutputRecord, Partition, Position, Record
from stream_scorer.core.wire.codec import decode_all
from stream_scorer.core.wire.own_topics import (
    LabelledHead,
    RankingHead,
    labelled_bytes_max,
    read_labelled_head,
    read_ranking_head,
    write_labelled,
)

BUFFERED_MAX = 5_000


class PartitionClose:
    """The state of one partition; does no I/O and reads no clock. Has the methods of `joining.PartitionJoin`."""

    def __init__(
        self,
        number: int,
        topics: JoinTopics,
        horizons: Horizons,
        *,
        rankings: int,
        outcomes: int,
        labels: int,
        label_bytes_max: int = maxsize,
    ) -> None:
        """Start with nothing, at these offsets."""
        self.number = number
        self._topics, self._horizons = topics, horizons
        self.watermark_ms = NO_TIME
        self._labelled_ms = NO_TIME
        self._outcome_appended_ms = NO_TIME
        self._label_bytes_max = label_bytes_max
        self._next = {topics.rankings: rankings, topics.outcomes: outcomes}
        self._at_end = {topics.rankings: False, topics.outcomes: False}
        self._labels_end = labels
        self._ahead: deque[tuple[Record, RankingHead | str]] = deque()
        # undecoded, since few are looked at again before their ranking comes
        self._waiting: HeldOutcomes[Record] = HeldOutcomes(lambda record: record.offset)
        self._shed = 0  # no outcome before this offset waits
        self._erased = ErasedCustomers()
        self._outcomes_reach = Reach()  # by request time
        # what was labelled within the disorder allowed: id -> customer -> request time; and its records in offset order
        self._recent: dict[str, dict[str, int]] = {}
        self._recent_offsets: deque[tuple[int, int, str, str]] = deque()
        # written without its positions before a restart (at least once): id and customer -> offset of the label
        self._emitted_before: dict[tuple[str, str], int] = {}
        self._labels: list[OutputRecord] = []
        self._dead: list[DeadLetter] = []
        self._counts: Counter[str] = Counter()
        self._tally = LabelTally()

    # -- a batch

    def join(self, records: Sequence[Record], *, ended: Iterable[str] = (), now_ms: int | None = None) -> Joined:
        """Take in records of this partition, in offset order per topic, and return what is final after them."""
        self._read(records)
        for topic in ended:
            self._at_end[topic] = True
        self._label(now_ms)
        self._settle(now_ms)
        joined = Joined(self._labels, self._dead, self._counts, self._tally)
        self._labels, self._dead, self._counts, self._tally = [], [], Counter(), LabelTally()
        self._forget()
        return joined

    def _read(self, records: Sequence[Record]) -> None:
        outcomes = []
        for record in records:
            self._next[record.topic] = record.offset + 1
            self._at_end[record.topic] = False
            if record.topic == self._topics.rankings:
                self._read_ranking(record)
            else:
                outcomes.append(record)
        self._read_outcomes(outcomes)

    def _read_ranking(self, record: Record) -> None:
        head = read_ranking_head(record.value)
        self._ahead.append((self._bare(record, head), head))

    def _read_outcomes(self, outcomes: Sequence[Record]) -> None:
        decoded = decode_all(outcomes, Acceptance)
        dead, erasures = sort_out(decoded.dead_letters)
        self._dead += dead
        for record, acceptance in zip(decoded.records, decoded.messages, strict=True):
            self._read_outcome(record, acceptance)
        self._erase(erasures)

    def _read_outcome(self, record: Record, acceptance: Acceptance) -> None:
        horizons, requested_ms, time_ms = self._horizons, acceptance.request_time_ms, acceptance.event_time_ms
        if requested_ms is None:
            self._reject(record, reasons.TIME_MISSING)
        elif max(time_ms, requested_ms) > record.timestamp_ms + horizons.skew_ms:
            self._reject(record, reasons.from_the_future(horizons))
        elif time_ms < requested_ms - horizons.back_ms:
            self._reject(record, reasons.before_its_request(horizons))
        elif time_ms > requested_ms + horizons.usable_ms or self._passed(acceptance, requested_ms):
            self._reject(record, reasons.outcome_too_late(horizons))
        elif self._erased.cover(acceptance.customer_id, requested_ms):
            self._counts["outcomes_erased"] += 1
        elif record.offset >= self._shed:
            self._waiting.hold(_key(acceptance.request_id, acceptance.customer_id), record, requested_ms)
            self._outcomes_reach.note(record.offset, requested_ms)
        if time_ms <= record.timestamp_ms + horizons.skew_ms:
            self._note_time(time_ms, record.timestamp_ms)

    def _note_time(self, time_ms: int, appended_ms: int) -> None:
        """Move W; an outcome far behind it is a straggler, and no sign that the partition is awake."""
        if time_ms > self.watermark_ms - self._horizons.disorder_ms:
            self._outcome_appended_ms = max(self._outcome_appended_ms, appended_ms)
        self.watermark_ms = max(self.watermark_ms, time_ms)

    def _passed(self, acceptance: Acceptance | LabelledHead, requested_ms: int) -> bool:
        """Return whether the ranking of this request, if there is one, is labelled already."""
        if self._labelled_ms > requested_ms + self._horizons.disorder_ms:
            return True
        return self._recent.get(acceptance.request_id, {}).get(acceptance.customer_id) == requested_ms

    # -- erasure

    def _erase(self, erasures: Sequence[tuple[Record, Erasure]]) -> None:
        """Take the erasures of a batch in, and walk over what is held once."""
        passed_ms = self._labelled_ms - self._horizons.disorder_ms
        # what is so old is labelled
        noted = [(record, erasure) for record, erasure in erasures if passed_ms <= erasure.erased_to_ms]
        for record, erasure in noted:
            self._erased.note(erasure)
            self._outcomes_reach.note(record.offset, erasure.erased_to_ms)
        if noted:
            keys = {erasure.customer_id.encode() for _, erasure in noted}
            self._ahead = deque((self._bare(ranking, head), head) for ranking, head in self._ahead)
            self._counts["outcomes_erased"] += self._waiting.drop(
                lambda outcome: outcome.key in keys and self._of_erased(outcome)
            )

    def _bare(self, record: Record, head: RankingHead | str) -> Record:
        if isinstance(head, str) or not self._erased.cover(head.customer_id, head.event_time_ms):
            return record
        return replace(record, value=None)

    def _of_erased(self, outcome: Record) -> bool:
        return any(
            self._erased.cover(one.customer_id, one.request_time_ms or 0)
            for one in decode_all([outcome], Acceptance).messages
        )

    # -- rankings that are due

    def _label(self, now_ms: int | None) -> None:
        while self._ahead and self._due(*self._ahead[0], now_ms):
            record, head = self._ahead.popleft()
            if isinstance(head, str):
                self._reject(record, Reason("bad_ranking", head))
            else:
                self._label_due(record, head)

    def _label_due(self, record: Record, head: RankingHead) -> None:
        horizons = self._horizons
        if head.event_time_ms > record.timestamp_ms + horizons.skew_ms:
            self._reject(record, reasons.from_the_future(horizons))
        elif labelled_bytes_max(len(record.value or b""), len(head.offers)) > self._label_bytes_max:
            self._reject(record, reasons.labels_too_large(self._label_bytes_max))
        elif self._labelled_ms > head.event_time_ms + horizons.disorder_ms:
            why = f"the request is more than {horizons.disorder_ms} ms behind those before it"
            self._reject(record, Reason("ranking_too_late", why))
        elif (known_ms := self._recent.get(head.request_id, {}).get(head.customer_id)) is not None:
            self._see_again(record, head, known_ms)
        elif self._erased.cover(head.customer_id, head.event_time_ms):
            self._remember(record, head)
            self._counts["requests_erased"] += 1
        else:
            self._label_one(record, head)

    def _due(self, record: Record, head: RankingHead | str, now_ms: int | None) -> bool:
        if isinstance(head, str) or self.watermark_ms > head.event_time_ms + self._horizons.complete_ms:
            return True
        return self._at_end[self._topics.outcomes] and self._lay_long(record, now_ms)

    def _lay_long(self, record: Record, now_ms: int | None) -> bool:
        """Return whether neither the record nor any outcome was appended for as long as answers may take."""
        newest_ms = max(record.timestamp_ms, self._outcome_appended_ms)
        return now_ms is not None and now_ms - newest_ms > self._horizons.complete_ms + self._horizons.idle_slack_ms

    def _see_again(self, record: Record, head: RankingHead, known_ms: int) -> None:
        if known_ms == head.event_time_ms:
            self._counts["duplicate_rankings"] += 1
        else:
            self._reject(record, reasons.REUSED)

    def _label_one(self, record: Record, head: RankingHead) -> None:
        answers = self._answers(head)
        closes_ms = head.event_time_ms + self._horizons.window_ms
        self._remember(record, head)
        if self._emitted_before.pop((head.request_id, head.customer_id), None) is not None or not head.offers:
            return
        labels = labels_of(answers, len(head.offers), closes_ms, closed=True)
        value, release_id = write_labelled(record.value or b"", labels, revision=1, final=True)
        self._tally.note(release_id, head.event_time_ms, (UNKNOWN,) * len(labels), labels, was_final=False, final=True)
        self._labels += label_records(self._topics, self.number, head.customer_id, value)

    def _remember(self, record: Record, head: RankingHead) -> None:
        self._labelled_ms = max(self._labelled_ms, head.event_time_ms)
        self._recent.setdefault(head.request_id, {})[head.customer_id] = head.event_time_ms
        self._recent_offsets.append((record.offset, head.event_time_ms, head.request_id, head.customer_id))

    def _answers(self, head: RankingHead) -> dict[int, Answers]:
        places = {offer.offer_id: place for place, offer in enumerate(head.offers)}
        answers: dict[int, Answers] = {}
        key = _key(head.request_id, head.customer_id)
        decoded = decode_all(self._waiting.take(key), Acceptance)
        for record, acceptance in zip(decoded.records, decoded.messages, strict=True):
            place = places.get(acceptance.offer_id)
            if acceptance.request_time_ms != head.event_time_ms:
                self._waiting.put_back(key, record)  # another request's, by its own word
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
            if self._labelled_ms <= requested_ms + self._horizons.disorder_ms:
                if not (self._idle() and self._lay_long(orphan, now_ms)):
                    return
                # no ranking is to come: the rankings' clock goes on to where this outcome is settled
                self._labelled_ms = requested_ms + self._horizons.disorder_ms + 1
            self._settle_orphan(self._waiting.take_next(), requested_ms)

    def _settle_orphan(self, orphan: Record, requested_ms: int) -> None:
        acceptance = decode_all([orphan], Acceptance).messages[0]
        is_known = requested_ms in self._recent.get(acceptance.request_id, {}).values()
        self._reject(orphan, reasons.OF_ANOTHER if is_known else reasons.NEVER_RANKED)

    def shed(self, count: int) -> list[DeadLetter]:
        """Stop so many outcomes from waiting, the oldest, and return them as dead letters."""
        oldest = self._waiting.take_oldest(count)
        if oldest:
            self._shed = oldest[-1].offset + 1
        return [DeadLetter(record, *reasons.SHED) for record in oldest]

    def _idle(self) -> bool:
        return all(self._at_end.values()) and not self._ahead

    def _forget(self) -> None:
        settled_ms = self._labelled_ms - self._horizons.disorder_ms
        self._outcomes_reach.forget(settled_ms)
        while self._recent_offsets and settled_ms > self._recent_offsets[0][1]:
            _, _, request_id, customer_id = self._recent_offsets.popleft()
            customers = self._recent.get(request_id, {})
            customers.pop(customer_id, None)
            if not customers:
                self._recent.pop(request_id, None)
        self._erased.forget(settled_ms)

    def _reject(self, record: Record, reason: Reason) -> None:
        self._dead.append(DeadLetter(record, *reason))

    # -- where it stands

    @property
    def held(self) -> int:
        """Return how many records are held in memory."""
        return len(self._ahead) + len(self._waiting)

    @property
    def waiting(self) -> int:
        """Return how many outcomes wait."""
        return len(self._waiting)

    @property
    def full(self) -> bool:
        """Return whether enough rankings are read ahead."""
        return len(self._ahead) >= BUFFERED_MAX

    @property
    def hungry(self) -> bool:
        """Return whether more rankings should be read."""
        return len(self._ahead) < BUFFERED_MAX // 2

    def idle_due(self, now_ms: int) -> bool:
        """Return whether the clock alone makes something due."""
        if self._ahead:
            return self._due(*self._ahead[0], now_ms)
        waiting = self._waiting.next()
        return waiting is not None and self._idle() and self._lay_long(waiting, now_ms)

    def written_to(self, labels_end: int) -> None:
        """Note the offset behind the labels that are known to be written."""
        self._labels_end = max(self._labels_end, labels_end)

    def reading(self) -> dict[Partition, Position]:
        """Return where to read on; in `rankings` that is ahead of the cursor."""
        return {Partition(topic, self.number): Position(offset) for topic, offset in self._next.items()}

    def progress(self) -> dict[Partition, Position]:
        """Return the positions to commit, the cursor's with the point where the state begins."""
        cursor = self._ahead[0][0].offset if self._ahead else self._next[self._topics.rankings]
        outcomes = self._next[self._topics.outcomes]
        point = ClosePoint(
            self.watermark_ms,
            self._labelled_ms,
            min(cursor, self._recent_offsets[0][0]) if self._recent_offsets else cursor,
            self._outcomes_reach.start(outcomes),
            min(self._emitted_before.values(), default=self._labels_end),
            self._outcome_appended_ms,
            self._shed,
        )
        return {
            Partition(self._topics.rankings, self.number): Position(cursor, point.to_text()),
            Partition(self._topics.outcomes, self.number): Position(outcomes),
        }

    # -- coming back

    def resume_at(self, point: ClosePoint) -> None:
        """Take over the clocks, before the records behind the point are read again."""
        self.watermark_ms, self._labelled_ms = point.watermark_ms, point.labelled_ms
        self._outcome_appended_ms, self._shed = point.outcome_appended_ms, point.shed

    def reread_labels(self, records: Iterable[Record]) -> int:
        """Take over what was written without its positions, after the rankings are read again.

        Returns how many records are no labels of ours.
        """
        foreign = 0
        for record in records:
            head = read_labelled_head(record.value)
            if head is None:
                foreign += 1
            elif not self._passed(head, head.request_time_ms):
                self._emitted_before.setdefault((head.request_id, head.customer_id), record.offset)
        return foreign

    @property
    def labels_read_back(self) -> int:
        """Return of how many requests labels were read back that are not labelled yet."""
        return len(self._emitted_before)

    def reread_rankings(self, records: Sequence[Record]) -> None:
        """Read rankings from before the cursor again: they are labelled."""
        for record in records:
            head = read_ranking_head(record.value)
            if isinstance(head, str) or head.event_time_ms > record.timestamp_ms + self._horizons.skew_ms:
                continue
            if (
                head.customer_id not in self._recent.get(head.request_id, {})
                and self._labelled_ms <= head.event_time_ms + self._horizons.disorder_ms
            ):
                self._remember(record, head)

    def reread_outcomes(self, records: Sequence[Record]) -> None:
        """Read outcomes from before the committed position again; what was rejected of them was rejected then."""
        self._read_outcomes(records)
        self._dead, self._counts = [], Counter()


def _key(request_id: str, customer_id: str) -> str:
    return f"{request_id}\0{customer_id}"
