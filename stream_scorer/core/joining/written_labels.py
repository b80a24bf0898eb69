"""Labels as the join writes them: what is owed beyond what was written before, and figures of what was written."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from stream_scorer.core.joining.held_outcomes import Reach
from stream_scorer.core.joining.join_state import JoinTopics, label_records
from stream_scorer.core.joining.known_requests import OpenRequest
from stream_scorer.core.joining.labelling import (
    UNKNOWN,
    Horizons,
    Label,
    answers_behind,
    labels_of,
    labels_read_back,
    nothing_known,
)
from stream_scorer.core.records import OutputRecord, Record
from stream_scorer.core.wire.kept_rankings import write_kept
from stream_scorer.core.wire.letter_headers import Headers
from stream_scorer.core.wire.own_topics import LabelledHead, read_labelled_head, write_labelled


@dataclass(slots=True)
class LabelTally:
    """Figures of the labels written lately; what is read again for a restore is not counted again.

    causes: labels by cause, one that is corrected under each · delays_ms: from request to acceptance, of offers that
    became accepted · closed, accepted: by release, the requests whose window has closed, and those of them with an
    accepted offer.
    """

    causes: Counter[str] = field(default_factory=Counter)
    delays_ms: list[int] = field(default_factory=list)
    closed: Counter[str] = field(default_factory=Counter)
    accepted: Counter[str] = field(default_factory=Counter)

    def note(
        self,
        release_id: str,
        request_time_ms: int,
        before: Sequence[Label],
        after: Sequence[Label],
        *,
        was_final: bool,
        final: bool,
    ) -> None:
        """Count what one revision changes."""
        if _close_unanswered(before, after):
            self.causes["window_closed"] += len(after)
        else:
            self._note_each(request_time_ms, before, after)
        if final:
            self.closed[release_id] += not was_final
            self.accepted[release_id] += _any_accepted(after) and not (was_final and _any_accepted(before))

    def _note_each(self, request_time_ms: int, before: Sequence[Label], after: Sequence[Label]) -> None:
        causes = self.causes
        for old, new in zip(before, after, strict=True):
            if new is old or (old is not UNKNOWN and new == old):
                continue
            accepted, cause, time_ms = new
            if cause is not None:
                causes[cause] += 1
            if accepted and not old.accepted and time_ms is not None:
                self.delays_ms.append(time_ms - request_time_ms)

    def add(self, other: "LabelTally") -> None:
        """Take another one in."""
        self.causes.update(other.causes)
        self.delays_ms += other.delays_ms
        self.closed.update(other.closed)
        self.accepted.update(other.accepted)


def _close_unanswered(before: Sequence[Label], after: Sequence[Label]) -> bool:
    """Return whether all offers change alike, since nobody has answered, as for most requests."""
    if not after or after[0].cause != "window_closed":
        return False
    return before.count(UNKNOWN) == len(before) == len(after) == after.count(after[0])


def _any_accepted(labels: Sequence[Label]) -> bool:
    return 1 in [accepted for accepted, _, _ in labels]


class LabelWriter:
    """Makes the records of one partition of labels; `end` is the offset behind those that are known to be written."""

    def __init__(self, topics: JoinTopics, number: int, end: int) -> None:
        self._topics, self._number, self.end = topics, number, end
        self._tally = LabelTally()

    def revise(
        self, request: OpenRequest, before: tuple[Label, ...], labels: tuple[Label, ...], *, final: bool
    ) -> list[OutputRecord]:
        """Return the next revision of a request's labels, which were `before`, and note it on the request."""
        ids = (request.request_id, request.customer_id, request.time_ms)
        value, release_id = write_kept(request.kept, ids, labels, revision=request.revision + 1, final=final)
        self._tally.note(release_id, request.time_ms, before, labels, was_final=request.final, final=final)
        request.final, request.revision = final, request.revision + 1
        return label_records(self._topics, self._number, request.customer_id, value, request.headers)

    def write_final(
        self,
        ranking: bytes,
        customer_id: str,
        request_time_ms: int,
        labels: tuple[Label, ...],
        *,
        headers: Headers = (),
    ) -> list[OutputRecord]:
        """Return the only revision of a request of which nothing was written before."""
        value, release_id = write_labelled(ranking, labels, revision=1, final=True)
        before = nothing_known(len(labels))
        self._tally.note(release_id, request_time_ms, before, labels, was_final=False, final=True)
        return label_records(self._topics, self._number, customer_id, value, headers)

    def take_tally(self) -> LabelTally:
        """Return the figures since the last call."""
        tally, self._tally = self._tally, LabelTally()
        return tally


class EmittedLabels:
    """What was emitted on the requests of a partition, and what is owed beyond it.

    Labels that were read back after a restart wait here for the rankings that they belong to.
    """

    def __init__(self, writer: LabelWriter, horizons: Horizons) -> None:
        self._writer, self._horizons = writer, horizons
        self._read_back: dict[tuple[str, str], LabelledHead] = {}
        self._reach = Reach()  # of first revisions, by the time of their requests

    def take_over(self, request: OpenRequest) -> None:
        """State on a request that opens what was emitted on it before a restart."""
        offers = request.offers
        request.emitted = nothing_known(offers)
        emitted = self._read_back.pop((request.request_id, request.customer_id), None)
        if emitted is not None:
            request.revision = emitted.revision
            if len(emitted.offers) == offers:  # else they are not of this ranking, and the next revision replaces them
                request.final = emitted.final
                self._note_emitted(request, labels_read_back(emitted))

    def owed(self, request: OpenRequest, closing_ms: int) -> list[OutputRecord]:
        """Return the records of the revision that differs from what was emitted, none when nothing does."""
        emitted = self._emitted_on(request)
        labels, final = self._due(request, emitted, closing_ms)
        if not request.offers or (labels == emitted and final == request.final):
            return []
        if request.revision == 0:
            # a restore must find the first revision: those after it lie behind it
            self._reach.note(self._writer.end, request.time_ms)
        revised = self._writer.revise(request, emitted, labels, final=final)
        self._note_emitted(request, labels)
        return revised

    def _note_emitted(self, request: OpenRequest, labels: tuple[Label, ...]) -> None:
        request.emitted = () if labels == self._unanswered(request) else labels

    def _unanswered(self, request: OpenRequest) -> tuple[Label, ...]:
        """Return the labels of a request whose window has closed without an answer."""
        return (Label(0, "window_closed", request.time_ms + self._horizons.window_ms),) * request.offers

    def _emitted_on(self, request: OpenRequest) -> tuple[Label, ...]:
        """Return what was emitted: most requests are never answered, and their labels need not be kept."""
        return request.emitted or self._unanswered(request)

    def _due(self, request: OpenRequest, emitted: tuple[Label, ...], closing_ms: int) -> tuple[tuple[Label, ...], bool]:
        closes_ms = request.time_ms + self._horizons.window_ms
        closed = closing_ms > closes_ms
        labels = labels_of(request.answers, request.offers, closes_ms, closed=closed)
        if not request.revision:
            return labels, closed or request.final
        # the closing time may be behind that of the run that emitted: what is unknown now never takes back a label
        merged = tuple(new if new is not UNKNOWN else old for new, old in zip(labels, emitted, strict=True))
        return merged, closed or request.final

    def leave_out_unowed(self, request: OpenRequest, closing_ms: int) -> int:
        """Let only those of a restored request's answers count that what was emitted shows; return how many do not."""
        emitted = self._emitted_on(request)
        labels, _ = self._due(request, emitted, closing_ms)
        unowed = [place for place in request.answers if labels[place] != emitted[place]]
        for place in unowed:
            request.answer(place, answers_behind(emitted[place]))
        return len(unowed)

    def reread(self, records: Iterable[Record]) -> int:
        """Read back what was emitted, before the rankings are read again; return how many records are no labels."""
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
        self._read_back = {key: head for key, (_, head) in newest.items()}
        for first, head in newest.values():
            self._reach.note(first, head.request_time_ms)
        return foreign

    def __len__(self) -> int:
        """Return of how many requests labels were read back that are not open yet."""
        return len(self._read_back)

    def drop_read_back(self) -> None:
        """Drop labels that no ranking has claimed: all rankings are read."""
        self._read_back = {}

    def forget(self, passed_ms: int) -> None:
        """Let go of the first revisions of requests before that time."""
        self._reach.forget(passed_ms)

    def start(self) -> int:
        """Return the offset from which a restore must read labels."""
        return self._reach.start(self._writer.end)
