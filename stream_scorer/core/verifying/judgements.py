"""Judging what became of a request, an acceptance, a label or a row, from everything that is known of it at once."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from stream_scorer.core.joining.erasure import ErasedCustomers
from stream_scorer.core.joining.join_state import ClosePoint, RestorePoint
from stream_scorer.core.joining.labelling import Horizons
from stream_scorer.core.joining.ring_shape import take_apart
from stream_scorer.core.verifying.event_times import NO_TIME, PartitionTimes
from stream_scorer.core.verifying.history import Input, LabelsRead, OutcomeRead, Output, RankingRead, Rows, Seen
from stream_scorer.core.verifying.refusals import counts_for, refused_wrongly
from stream_scorer.core.verifying.replies import Claim, Question, difference

RightLabel = tuple[int | None, str | None, int | None]


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that must never be; `what` names the record or the id."""

    kind: str
    what: str


@dataclass(frozen=True, slots=True)
class Expiry:
    """The broker's time up to which retention may have taken records of a topic; NO_TIME: it has taken none."""

    inputs_ms: int = NO_TIME
    outputs_ms: int = NO_TIME


def judge_pairs(
    noun: str, key: str, inputs: Sequence[Input], outputs: Sequence[Output], expiry: Expiry
) -> Iterator[Fault]:
    """Find requests or acceptances without exactly one output or dead letter, or with one that does not answer them.

    Lost: there is none · torn: it was aborted · doubled: there are more · mismatched: it answers something else.
    """
    alive = [one for one in inputs if not one.dead]
    owed = [one for one in alive if one.settled and one.timestamp_ms > expiry.outputs_ms]
    made = [one for one in outputs if not one.aborted]
    name = _name(key)
    if len(made) < len(owed):
        # the position was committed and the output was not: a transaction in two halves
        kind = f"{noun}_torn" if len(outputs) > len(made) else f"{noun}_lost"
        yield Fault(
            kind, f"{name}: {len(owed)} records, {len(made)} outputs, no dead letter for the rest{_places(owed)}"
        )
    if len(made) > len(alive) and (inputs or expiry.inputs_ms == NO_TIME):
        kind = f"{noun}_doubled" if inputs else f"{noun}_unknown"
        yield Fault(
            kind,
            f"{name}: {len(alive)} records, {len(inputs) - len(alive)} of them dead letters, "
            f"{len(made)} outputs{_places(made)}",
        )
    if expiry.inputs_ms == NO_TIME:
        yield from _judge_replies(noun, name, [one.asked for one in alive], made)


def _judge_replies(
    noun: str, name: str, asked: Sequence[Question | Claim | None], made: Sequence[Output]
) -> Iterator[Fault]:
    """Find outputs that answer none of their inputs."""
    known = [one for one in asked if one is not None]
    for output in made if known else ():
        if output.given is None:
            continue
        unlike = [difference(one, output.given) for one in known]
        if None not in unlike:
            yield Fault(f"{noun}_mismatched", f"{name}: the output{_places([output])} does not answer it: {unlike[-1]}")


def _places(seen: Sequence[Input] | Sequence[Output]) -> str:
    return "".join(f" [{one.partition}]@{one.offset}" for one in seen[:4])


def _name(key: str) -> str:
    return key.split("\0", 1)[0]


def right_label(answers: Iterable[tuple[bool, int]], closes_ms: int, *, closed: bool) -> RightLabel:
    """Return the label of an offer from all answers about it at once."""
    given = list(answers)
    accepted = [time_ms for yes, time_ms in given if yes]
    declined = [time_ms for yes, time_ms in given if not yes and time_ms <= closes_ms]
    if accepted:
        return 1, "accepted" if min(accepted) <= closes_ms else "late_acceptance", min(accepted)
    if declined:
        return 0, "declined", min(declined)
    return (0, "window_closed", closes_ms) if closed else (None, None, None)


@dataclass(frozen=True, slots=True)
class JoinClock:
    """What event time had passed when the joiner of a partition last committed.

    `at_close`: it reads rankings late and labels each once, for good; then only the times of those are passed.
    """

    passed_ms: int = NO_TIME
    at_close: bool = False

    @classmethod
    def from_text(cls, metadata: str) -> "JoinClock":
        """Read the metadata of the joiner's position. Raises ValueError for one that is not ours."""
        try:
            point, _ = take_apart(metadata)
            if not point:
                return cls()
            if point.startswith('["close"'):
                return cls(int(ClosePoint.from_text(point).labelled_ms), at_close=True)
            return cls(int(RestorePoint.from_text(point).clocks.watermark_ms))
        except (TypeError, LookupError, AttributeError, RecursionError) as error:
            raise ValueError(f"the metadata of a joiner's position cannot be read: {error}") from error

    def settled(self, answer: OutcomeRead, horizons: Horizons) -> bool:
        """Return whether an answer without its ranking must be a dead letter by now."""
        if self.at_close:
            return self.passed_ms > answer.asked_ms + horizons.disorder_ms
        return self.passed_ms > answer.time_ms + horizons.settle_ms

    def closed(self, closes_ms: int) -> bool:
        """Return whether the window of a ranking that was read has closed."""
        return self.at_close or self.passed_ms > closes_ms


@dataclass(frozen=True, slots=True)
class Standpoint:
    """What the labels of one partition are judged by.

    `strict`: the joiner stood still while the topics were read, so a label must be what was due then; else one that is
    right by what has come since is right too.
    """

    horizons: Horizons
    clock: JoinClock
    strict: bool
    expiry: Expiry = Expiry()
    labels_expired: bool = False
    erased: ErasedCustomers = field(default_factory=ErasedCustomers)
    times: PartitionTimes | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """The faults about one request's labels, and what the figures of the labels' health are made of."""

    faults: list[Fault]
    ranking: RankingRead | None
    latest: LabelsRead | None
    joined: int
    waiting: int


def judge_labels(key: str, seen: Sequence[RankingRead | OutcomeRead | LabelsRead], view: Standpoint) -> Judged:
    """Find revisions that skip, repeat or differ from the ranking or the right labels, and uncounted answers."""
    rankings = [one for one in seen if isinstance(one, RankingRead) and not one.dead]
    revisions = [one for one in seen if isinstance(one, LabelsRead) and not one.aborted and not one.dead]
    every = [one for one in seen if isinstance(one, OutcomeRead) and not one.aborted]
    answers = [one for one in every if not one.dead]
    first = min((one for one in rankings if not one.aborted), key=lambda one: one.offset, default=None)
    name = _name(key)
    if first is None:
        return _without_ranking(name, revisions, answers, view, aborted=bool(rankings))
    if view.erased.cover(first.customer_id, first.time_ms):
        return Judged([*_revisions(name, revisions, view)], None, None, 0, 0)
    counting, waiting, faults = _usable(name, first, answers, view)
    faults += [
        Fault("outcome_refused", f"{name}: the outcome at {one.offset} counts, and was refused as {one.dead}")
        for one in refused_wrongly(first, every, view, at_close=view.clock.at_close)
    ]
    faults += _revisions(name, revisions, view)
    faults += [
        Fault("label_altered", f"{name}: revision {one.revision} differs from the ranking")
        for one in revisions
        if one.digest != first.digest
    ]
    if first.settled and first.timestamp_ms > view.expiry.outputs_ms:
        faults += _compare(name, first, counting, revisions[-1] if revisions else None, view)
    return Judged(faults, first, revisions[-1] if revisions else None, len(counting), waiting)


def judge_places(key: str, by_partition: Mapping[int, Sequence[Seen]], horizons: Horizons) -> Iterator[Fault]:
    """Find answers that count but lie in another partition than their ranking, where no joiner can join them."""
    rankings = [
        (number, one)
        for number, seen in by_partition.items()
        for one in seen
        if isinstance(one, RankingRead) and not one.aborted and not one.dead
    ]
    for number, seen in by_partition.items():
        for one in seen:
            if isinstance(one, OutcomeRead) and not one.aborted:
                places = {place for place, ranking in rankings if counts_for(ranking, one, horizons)}
                if places and number not in places:
                    what = f"the outcome at [{number}]@{one.offset} lies in another partition than its ranking"
                    yield Fault("outcome_elsewhere", f"{_name(key)}: {what}")


def _without_ranking(
    name: str, revisions: Sequence[LabelsRead], answers: Sequence[OutcomeRead], view: Standpoint, *, aborted: bool
) -> Judged:
    faults: list[Fault] = []
    if revisions and aborted:
        faults.append(
            Fault("label_of_aborted_ranking", f"{name}: revision {revisions[0].revision} at {revisions[0].offset}")
        )
    elif revisions and view.expiry.outputs_ms == NO_TIME:
        faults.append(
            Fault("label_unknown", f"{name}: revision {revisions[0].revision} at {revisions[0].offset} has no ranking")
        )
    owed = [one for one in answers if not view.erased.cover(one.customer_id, one.asked_ms)]
    lost = [one for one in owed if one.settled and view.clock.settled(one, view.horizons)]
    if view.expiry.outputs_ms == NO_TIME:
        faults += [
            Fault("outcome_uncounted", f"{name}: the outcome at {one.offset} has no ranking and no dead letter")
            for one in lost
        ]
    return Judged(faults, None, revisions[-1] if revisions else None, 0, len(owed) - len(lost))


def _usable(
    name: str, ranking: RankingRead, answers: Sequence[OutcomeRead], view: Standpoint
) -> tuple[list[OutcomeRead], int, list[Fault]]:
    counting, faults, waiting = [], [], 0
    for one in answers:
        if counts_for(ranking, one, view.horizons):
            counting.append(one)
            waiting += not one.settled
        elif one.settled and ranking.settled:
            faults.append(
                Fault("outcome_uncounted", f"{name}: the outcome at {one.offset} cannot count and has no dead letter")
            )
    return counting, waiting, faults


def _revisions(name: str, revisions: Sequence[LabelsRead], view: Standpoint) -> Iterator[Fault]:
    known: set[int] = set()
    last = revisions[0].revision - 1 if revisions and view.labels_expired else 0
    for one in revisions:
        if one.revision in known:
            yield Fault("revision_doubled", f"{name}: revision {one.revision} again at {one.offset}")
        elif one.revision != last + 1:
            yield Fault("revision_skipped", f"{name}: revision {one.revision} after {last}, at {one.offset}")
        known.add(one.revision)
        last = max(last, one.revision)


def _compare(
    name: str, ranking: RankingRead, answers: Sequence[OutcomeRead], latest: LabelsRead | None, view: Standpoint
) -> Iterator[Fault]:
    closes_ms = ranking.time_ms + view.horizons.window_ms
    closed = view.clock.closed(closes_ms)
    settled = [one for one in answers if one.settled]
    due = _labels(ranking, settled, closes_ms, closed=closed)
    if latest is None:
        nothing = all(accepted is None for accepted, _, _ in due)
        if not nothing and not (view.labels_expired and closed):
            yield Fault("label_missing", f"{name}: {_say(due)} is due")
        return
    # a clock may have closed the window of a quiet partition before event time was past it
    in_time = latest.final or not closed
    right = in_time and latest.labels == _labels(ranking, settled, closes_ms, closed=latest.final)
    if not right and (view.strict or latest.labels != _labels(ranking, answers, closes_ms, closed=latest.final)):
        yield Fault(
            "label_wrong", f"{name}: revision {latest.revision} says {_say(latest.labels)}, right is {_say(due)}"
        )


def _labels(
    ranking: RankingRead, answers: Sequence[OutcomeRead], closes_ms: int, *, closed: bool
) -> tuple[RightLabel, ...]:
    given: dict[str, list[tuple[bool, int]]] = {}
    for one in answers:
        given.setdefault(one.offer_id, []).append((one.accepted, one.time_ms))
    return tuple(right_label(given.get(offer, ()), closes_ms, closed=closed) for offer in ranking.offers)


def _say(labels: Sequence[RightLabel]) -> str:
    known = [
        f"{place}: {cause}" for place, (_, cause, _) in enumerate(labels, 1) if cause not in (None, "window_closed")
    ]
    closed = sum(cause == "window_closed" for _, cause, _ in labels)
    return "{" + ", ".join([*known[:4], *([f"{closed} window_closed"] if closed else [])]) + "}"


def judge_rows(key: str, rows: Sequence[Rows], *, labels_expired: bool) -> Iterator[Fault]:
    """Find rows in files that are not those of the topic: missing, doubled, different or unknown."""
    due = [one for one in rows if not one.found]
    found = [one for one in rows if one.found]
    count, total = sum(one.count for one in found), sum(one.total for one in found) % 2**63
    name = f"{_name(key)} revision {key.rsplit(chr(0), 1)[1]}"
    if not due:
        if not labels_expired:
            yield Fault("rows_unknown", f"{name}: {count} rows in files, no label on the topic")
        return
    wanted = due[0].count
    if count < wanted and (due[0].settled or count):
        yield Fault("rows_missing", f"{name}: {count} of {wanted} rows in files")
    elif count > wanted:
        yield Fault("rows_doubled", f"{name}: {count} rows in files, {wanted} on the topic")
    elif count == wanted and total != due[0].total:
        yield Fault("rows_differ", f"{name}: the rows in files are not those of the topic")
