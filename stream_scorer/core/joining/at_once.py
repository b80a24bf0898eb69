"""The reconciling join of one partition: rankings, outcomes and emitted labels to the labels still owed.

State of a partition is open requests, outcomes that wait for theirs, what was emitted, and the watermark W, the
progress of event time. It is a function of three topics and rebuilt from them by `reread` and its siblings. Whether a
thing is forgotten, closed or settled is decided by W alone ("past t" is W > t), so the same records give the same
labels however they are batched. Requests and outcomes meet by request id and customer:

    ranking   W past time + forget -> dead letter · known request -> duplicate · else open; outcomes that waited join now
    outcome   its request is erased -> nothing · is open and it is not too late -> joins, if the offer was ranked and the time is
              usable, else dead letter · else it waits, and is settled as a dead letter once W is past time + settle
    erasure   the customer's requests and outcomes up to its time are dropped, and those yet to come
    advance   close the windows that W has passed, settle, forget

What is owed is what differs from what was emitted, one revision a request and batch.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from sys import intern, maxsize

import lz4.block

from stream_scorer.core.joining import reasons
from stream_scorer.core.joining.erasure import ErasedCustomers, sort_out
from stream_scorer.core.joining.event_time import EventTime
from stream_scorer.core.joining.held_outcomes import HeldOutcomes, Reach
from stream_scorer.core.joining.join_state import Joined, JoinTopics, RestorePoint, Waiting, label_records
from stream_scorer.core.joining.label_tally import LabelTally
from stream_scorer.core.joining.labelling import (
    NO_ANSWERS,
    UNKNOWN,
    Horizons,
    Label,
    answers_behind,
    labels_of,
    labels_read_back,
    nothing_known,
)
from stream_scorer.core.joining.open_requests import OpenRequest, OpenRequests
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


class PartitionJoin:
    """The state of one partition; does no I/O and reads no clock."""

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
        """Start with nothing, at these offsets and at the beginning of event time."""
        self.number = number
        self.open = OpenRequests(horizons)
        self._topics = topics
        self._horizons = horizons
        self._label_bytes_max = label_bytes_max
        self._waiting: HeldOutcomes[Waiting] = HeldOutcomes(lambda waiting: waiting.record.offset)
        self._shed = 0  # no outcome before this offset waits
        self._erased = ErasedCustomers()
        self._time = EventTime(horizons)
        self._next = {topics.rankings: rankings, topics.outcomes: outcomes}
        self._labels_end = labels
        # read back after a restart, for requests that are not open yet; by request id and customer
        self._emitted_before: dict[tuple[str, str], LabelledHead] = {}
        self._outcomes_reach, self._labels_reach = Reach(), Reach()  # by event time
        self._rereading = False  # from `resume_at` to `settle_restored`
        self._touched: dict[OpenRequest, None] = {}
        self._dead: list[DeadLetter] = []
        self._counts: Counter[str] = Counter()
        self._tally = LabelTally()

    # -- a batch

    def join(self, records: Sequence[Record], *, ended: Iterable[str] = (), now_ms: int | None = None) -> Joined:
        """Take in records of this partition, in offset order per topic, and return what is owed after them.

        `ended` names the topics whose end these records reach. With `now_ms`, given only when outcomes had nothing more
        at that time, event time goes on past the newest outcome, and with both topics at their end at the pace of the
        clock from the newest ranking, so that a quiet partition closes its windows.
        """
        self._read(records)
        self._note_ends(ended)
        self._time.advance(now_ms)
        self._touched.update(dict.fromkeys(self.open.close(self._time.closing_ms)))
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
        self._erase(erasures)

    # -- rankings

    def _read_ranking(self, record: Record) -> None:
        horizons, head = self._horizons, read_ranking_head(record.value)
        if isinstance(head, str):
            self._reject(record, Reason("bad_ranking", head))
        elif head.event_time_ms > record.timestamp_ms + horizons.skew_ms:
            self._reject(record, reasons.from_the_future(horizons))
        elif labelled_bytes_max(len(record.value or b""), len(head.offers)) > self._label_bytes_max:
            self._reject(record, reasons.labels_too_large(self._label_bytes_max))
        elif self.watermark_ms > head.event_time_ms + horizons.forget_ms:
            self._remember(record, head)
            why = f"the request is more than {horizons.forget_ms} ms behind the watermark"
            self._reject(record, Reason("ranking_too_late", why))
        elif (known := self.open.get(head.request_id, head.customer_id)) is None:
            self._open(record, head)
        elif known.time_ms == head.event_time_ms:
            self._counts["duplicate_rankings"] += 1
        else:
            self.open.remember_until(known, head.event_time_ms)
            self._reject(record, reasons.REUSED)

    def _remember(self, record: Record, head: RankingHead) -> None:
        """Keep in mind that the request was there.

        Of a restore's records those that must be are sorted out at its end.
        """
        known = self.open.get(head.request_id, head.customer_id)
        if known is not None:
            self.open.remember_until(known, head.event_time_ms)
        elif self._rereading or self.watermark_ms <= head.event_time_ms + self._horizons.remember_ms:
            request = OpenRequest(head.request_id, head.customer_id, head.event_time_ms, record.offset)
            self.open.remember(request)

    def _open(self, record: Record, head: RankingHead) -> None:
        self._time.ranking(head.event_time_ms, record.timestamp_ms)
        # requests share their offers' ids: a million open ones would hold ten million strings
        offers = tuple(intern(offer.offer_id) for offer in head.offers)
        packed = lz4.block.compress(record.value or b"")
        request = OpenRequest(head.request_id, head.customer_id, head.event_time_ms, record.offset, packed, offers)
        self._take_over_labels(request)
        if self._is_erased(request):
            self._forget_content(request)
        # what had closed when the positions were committed has said so; to sift a million afterwards holds all threads
        # up
        closed = self._rereading and self.watermark_ms > request.time_ms + self._horizons.window_ms
        self.open.open(request, closed=closed)
        key = _key(request.request_id, request.customer_id)
        for waiting in self._waiting.take(key):
            if self._too_late(request, waiting.acceptance):
                self._waiting.put_back(key, waiting)
            else:
                self._answer(request, waiting)

    def _take_over_labels(self, request: OpenRequest) -> None:
        offers = len(request.offers)
        request.emitted = nothing_known(offers)
        emitted = self._emitted_before.pop((request.request_id, request.customer_id), None)
        if emitted is not None:
            request.revision = emitted.revision
            if len(emitted.offers) == offers:  # else they are not of this ranking, and the next revision replaces them
                request.emitted, request.final = labels_read_back(emitted), emitted.final

    # -- outcomes

    def _read_outcome(self, record: Record, acceptance: Acceptance) -> None:
        time_ms = acceptance.event_time_ms
        if time_ms > record.timestamp_ms + self._horizons.skew_ms:
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
        elif self.watermark_ms > time_ms + self._horizons.settle_ms:
            self._settle(waiting)
        elif record.offset >= self._shed:
            self._outcomes_reach.note(record.offset, time_ms)
            self._waiting.hold(_key(acceptance.request_id, acceptance.customer_id), waiting, time_ms)

    def _too_late(self, request: OpenRequest, acceptance: Acceptance) -> bool:
        return acceptance.event_time_ms > request.time_ms + self._horizons.usable_ms

    def _answer(self, request: OpenRequest, waiting: Waiting) -> None:
        """Let an outcome count for its request, or say why it cannot."""
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
        namesakes = self.open.namesakes(waiting.acceptance.request_id)
        self._reject(waiting.record, reasons.why_unanswerable(waiting.acceptance, namesakes, self._horizons))

    def shed(self, count: int) -> list[DeadLetter]:
        """Stop so many outcomes from waiting, the oldest, and return them as dead letters."""
        oldest = self._waiting.take_oldest(count)
        if oldest:
            self._shed = oldest[-1].record.offset + 1
        return [DeadLetter(waiting.record, *reasons.SHED) for waiting in oldest]

    # -- erasure

    def _erase(self, erasures: Sequence[tuple[Record, Erasure]]) -> None:
        """Take the erasures of a batch in, and walk over what is held once."""
        passed_ms = self.watermark_ms - self._horizons.keep_ms
        # nothing so old is held, and nothing so old is taken in
        noted = [(record, erasure) for record, erasure in erasures if passed_ms <= erasure.erased_to_ms]
        for record, erasure in noted:
            self._erased.note(erasure)
            self._outcomes_reach.note(record.offset, erasure.erased_to_ms)
        if noted:
            for request in self.open.values():
                if not request.erased and self._is_erased(request):
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
        asked_ms = acceptance.event_time_ms + self._horizons.back_ms if requested_ms is None else requested_ms
        return self._erased.cover(acceptance.customer_id, asked_ms)

    # -- event time

    @property
    def watermark_ms(self) -> int:
        """Return W."""
        return self._time.watermark_ms

    def idle_due(self, now_ms: int) -> bool:
        """Return whether the clock alone would make something due."""
        watermark_ms, closing_ms = self._time.would_be(now_ms)
        if self.open.is_closing(closing_ms) or self.open.is_forgetting(watermark_ms):
            return True
        time_ms = self._waiting.next_ms()
        return time_ms is not None and self._is_settled(time_ms, watermark_ms)

    def _forget(self) -> None:
        self.open.forget(self.watermark_ms)
        passed_ms = self.watermark_ms - self._horizons.keep_ms
        self._labels_reach.forget(self.watermark_ms - self._horizons.forget_ms)
        self._outcomes_reach.forget(passed_ms)
        self._erased.forget(passed_ms)

    def _reject(self, record: Record, reason: Reason) -> None:
        self._dead.append(DeadLetter(record, *reason))

    # -- what is owed

    def _owed(self) -> Joined:
        labels = [record for request in self._touched for record in self._reconcile(request)]
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

    def _reconcile(self, request: OpenRequest) -> list[OutputRecord]:
        labels, final = self._desired(request)
        if not request.offers or (labels == request.emitted and final == request.final):
            return []
        if request.revision == 0:
            self._labels_reach.note(self._labels_end, request.time_ms)
        value, release_id = write_labelled(request.ranking, labels, revision=request.revision + 1, final=final)
        self._tally.note(release_id, request.time_ms, request.emitted, labels, was_final=request.final, final=final)
        request.emitted, request.final, request.revision = labels, final, request.revision + 1
        return label_records(self._topics, self.number, request.customer_id, value)

    # -- where it stands

    def written_to(self, labels_end: int) -> None:
        """Note the offset behind the labels that are known to be written: the next ones lie at or behind it."""
        self._labels_end = max(self._labels_end, labels_end)

    @property
    def held(self) -> int:
        """Return how many requests and waiting outcomes are held in memory."""
        return len(self.open) + len(self._waiting)

    @property
    def waiting(self) -> int:
        """Return how many outcomes wait."""
        return len(self._waiting)

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
            self.open.reach(rankings),
            self._outcomes_reach.start(outcomes),
            self._labels_reach.start(self._labels_end),
            self._shed,
        )
        return {
            Partition(self._topics.rankings, self.number): Position(rankings, point.to_text()),
            Partition(self._topics.outcomes, self.number): Position(outcomes),
        }

    # -- coming back

    def reread_labels(self, records: Iterable[Record]) -> int:
        """Take over what was emitted, before the rankings are read again.

        Return how many records are no labels of ours.
        """
        newest: dict[tuple[str, str], tuple[int, LabelledHead]] = {}
        foreign = 0
        for record in records:
            head = read_labelled_head(record.value)
            if head is None:
                foreign += 1
                continue
            key = (head.request_id, head.customer_id)
            first, known = newest.get(key, (record.offset, head))
            newest[key] = (first, head if head.revision >= known.revision else known)
        self._emitted_before = {key: head for key, (_, head) in newest.items()}
        for first, head in newest.values():
            self._labels_reach.note(first, head.request_time_ms)
        return foreign

    @property
    def labels_read_back(self) -> int:
        """Return of how many requests labels were read back that are not open yet."""
        return len(self._emitted_before)

    def resume_at(self, point: RestorePoint) -> None:
        """Take over the watermark, before the records behind it are read again with `reread`."""
        self._time = EventTime(self._horizons, point.clocks)
        self._shed = point.shed
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


def _key(request_id: str, customer_id: str) -> str:
    return f"{request_id}\0{customer_id}"
