"""verify: read the topics and report, as a Jepsen checker does, what was lost, doubled, torn or wrong.

Records of the same request, acceptance or row are sorted together on disk and judged at once
(`core.verifying.judgements`), so that memory is bounded whatever the topics contain. Records that their reader has not
committed yet are no fault.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TypeVar

from stream_scorer.core.evaluation.label_health import HealthTally, LabelHealth
from stream_scorer.core.joining.labelling import Horizons
from stream_scorer.core.records import Partition
from stream_scorer.core.verifying.checks import Check, FaultCounts
from stream_scorer.core.verifying.event_times import NO_TIME
from stream_scorer.core.verifying.history import Input, LabelsRead, OutcomeRead, Output, RankingRead, Rows, Seen
from stream_scorer.core.verifying.judgements import (
    Expiry,
    Fault,
    JoinClock,
    Standpoint,
    judge_labels,
    judge_pairs,
    judge_places,
    judge_rows,
)
from stream_scorer.ports import ReleaseStore, Sorter, TrainingBuffer
from stream_scorer.services.verifying.history import History, Sorters
from stream_scorer.services.verifying.reading import (
    Readers,
    Snapshot,
    VerifyTopics,
    differing_partitions,
    expired_unread,
    join_positions,
    take_snapshot,
)
from stream_scorer.services.verifying.rows import RowCheck
from stream_scorer.services.verifying.scores import check_scores, check_stated_features, check_vectors

Kind = TypeVar("Kind", Input, Output, Rows)

# what at-least-once delivery may do: a crash between outputs and positions repeats outputs
DOUBLES = frozenset({"request_doubled", "acceptance_doubled", "dead_letter_doubled"})


@dataclass(frozen=True, slots=True)
class VerifyConfig:
    """What the ring should be.

    `partitions` has the count of every topic, of those too that only dead letters are about. `keep_prob` is the
    buffer's present setting, for files that do not state their own. `offer_features` are the offers' features that
    rankings carry; None: all.
    """

    topics: VerifyTopics
    partitions: Mapping[str, int]
    horizons: Horizons
    exactly_once: bool
    keep_prob: float = 1.0
    examples_max: int = 5
    offer_features: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a check.

    `aborted` counts records of aborted transactions, which readers of committed records never see. `unsettled` counts
    records that their reader has not committed yet, so that no output is due. `rows` counts those of the training
    buffer; None: it was left out. `buffered` has, by partition of the labels, the offset behind the files and the
    partition's end. `tolerated` are faults that the delivery mode allows. `examples` are the first of each kind.
    """

    records: Mapping[str, int]
    aborted: Mapping[str, int]
    dead_letters: Mapping[str, int]
    unsettled: Mapping[str, int]
    rows: int | None
    buffered: Mapping[str, tuple[int, int]]
    faults: Mapping[str, int]
    tolerated: Mapping[str, int]
    examples: Mapping[str, Sequence[str]]
    health: LabelHealth
    checks: Sequence[Check] = ()

    @property
    def passed(self) -> bool:
        """Return whether nothing is wrong."""
        return not self.faults


def verify(
    readers: Readers,
    buffer: TrainingBuffer | None,
    new_sorter: Callable[[], Sorter],
    config: VerifyConfig,
    *,
    releases: ReleaseStore | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Report:
    """Check everything up to the present ends of the topics.

    `progress` is called with the number of offsets read and their number in all. Raises TransientError when the brokers
    or the files cannot be reached.
    """
    faults = FaultCounts(config.examples_max)
    with closing(Sorters(new_sorter)) as sorters:
        # files before topics: a row that is in a file now is on the topic when that is read
        rows = None if buffer is None else _read_rows(buffer, readers, sorters, config)
        snapshot = take_snapshot(readers, config.topics, config.partitions)
        history = History(readers, snapshot, sorters, config.horizons, faults.note)
        history.read(progress, None if rows is None else rows.expect)
        tally = HealthTally()
        faults.add(_judge(config, history, sorters, tally))
        faults.add(() if rows is None else rows.faults(snapshot.beginnings))
        faults.add(expired_unread(snapshot))
        faults.add(differing_partitions(snapshot))
    scores = check_scores(history.sample, releases, config.offer_features, faults.note)
    checks = [*_checks(config, history, rows), scores, check_vectors(releases, faults.note)]
    if history.stating:
        stated = check_stated_features(
            history.sample, history.asked, config.offer_features, faults.note, stating=history.stating
        )
        checks.append(stated)
    return replace(_report(config, history, faults, rows, tally), checks=checks)


def _read_rows(buffer: TrainingBuffer, readers: Readers, sorters: Sorters, config: VerifyConfig) -> RowCheck:
    labels = config.topics.labels
    places = [Partition(labels, number) for number in range(config.partitions[labels])]
    rows = RowCheck(sorters, buffer, readers.buffer, places)
    rows.read_files(config.keep_prob)
    return rows


def _judge(config: VerifyConfig, history: History, sorters: Sorters, tally: HealthTally) -> Iterator[Fault]:
    topics = config.topics
    yield from _judge_pairs(
        "request", sorters.groups(sorters.requests), _expiry(history, topics.requests, topics.rankings)
    )
    yield from _judge_pairs(
        "acceptance", sorters.groups(sorters.acceptances), _expiry(history, topics.acceptances, topics.outcomes)
    )
    yield from _judge_labels(config.horizons, sorters, _views(config, history), tally)
    for key, seen in sorters.groups(sorters.rows):
        yield from judge_rows(key, _of(seen, Rows), labels_expired=history.snapshot.expired(topics.labels))


def _judge_labels(
    horizons: Horizons, sorters: Sorters, views: Mapping[int, Standpoint], tally: HealthTally
) -> Iterator[Fault]:
    for request, groups in groupby(sorters.groups(sorters.labels), key=lambda group: group[0].rsplit("\0", 1)[0]):
        by_partition = {int(key.rsplit("\0", 1)[1]): seen for key, seen in groups}
        for number, seen in by_partition.items():
            known = [one for one in seen if isinstance(one, RankingRead | OutcomeRead | LabelsRead)]
            judged = judge_labels(f"{request}\0{number}", known, views[number])
            tally.add(judged)
            yield from judged.faults
        if len(by_partition) > 1:
            yield from judge_places(request, by_partition, horizons)


def _judge_pairs(noun: str, groups: Iterable[tuple[str, list[Seen]]], expiry: Expiry) -> Iterator[Fault]:
    for key, seen in groups:
        yield from judge_pairs(noun, key, _of(seen, Input), _of(seen, Output), expiry)


def _of(seen: Iterable[Seen], kind: type[Kind]) -> list[Kind]:
    return [one for one in seen if isinstance(one, kind)]


def _expiry(history: History, inputs: str, outputs: str) -> Expiry:
    return Expiry(history.oldest_ms.get(inputs, NO_TIME), history.oldest_ms.get(outputs, NO_TIME))


def _views(config: VerifyConfig, history: History) -> dict[int, Standpoint]:
    topics, snapshot = config.topics, history.snapshot
    settled, clocks = join_positions(history.readers.join, topics, snapshot.partitions)
    expiry = _expiry(history, topics.rankings, topics.rankings)
    expired = snapshot.expired(topics.labels)
    views = {}
    for number in range(max(snapshot.partitions[topic] for topic in snapshot.written_by_us)):
        inputs = [Partition(topic, number) for topic in (topics.rankings, topics.outcomes)]
        stood = all(settled.get(one) == snapshot.settled.get(one) for one in inputs)
        still = stood and clocks.get(number) == snapshot.clocks.get(number)
        clock = snapshot.clocks.get(number, JoinClock())
        views[number] = Standpoint(
            config.horizons,
            clock,
            still and config.exactly_once,
            expiry,
            expired,
            history.erased,
            history.times.get(number),
        )
    return views


def _checks(config: VerifyConfig, history: History, rows: RowCheck | None) -> Iterator[Check]:
    """Yield what was checked, over how many records, and how many could not be, with the reason."""
    topics, records = config.topics, history.records
    for topic, noun in ((topics.requests, "request"), (topics.acceptances, "acceptance")):
        waiting = history.unsettled[topic]
        yield Check.of(
            f"every {noun} has one output or one dead letter",
            records[topic] - waiting,
            {"not committed by their reader yet": waiting},
        )
        compared = 0 if history.snapshot.expired(topic) else history.compared[topic]
        reason = "retention removed some inputs" if history.snapshot.expired(topic) else "dead letters, or unreadable"
        yield Check.of(f"every output answers its {noun}", compared, {reason: records[topic] - compared})
    yield _letters_check(history)
    timeless = sum(place.number not in history.snapshot.clocks for place in history.snapshot.places(topics.rankings))
    yield Check.of(
        "labels are what rankings and outcomes make them",
        records[topics.rankings],
        {"partitions whose watermark no joiner has committed": timeless},
    )
    yield _expiry_check(history.snapshot)
    yield _rows_check(rows)


def _letters_check(history: History) -> Check:
    reasons = {
        f"refused as {code}: needs more than the record": count for code, count in history.refused_unjudged.items()
    }
    reasons["about records that are gone, or of topics that are not checked"] = history.letters.sources_expired
    return Check.of("dead letters are right", history.letters.codes.total() - sum(reasons.values()), reasons)


def _expiry_check(snapshot: Snapshot) -> Check:
    topics = snapshot.topics
    read = (topics.requests, topics.acceptances, topics.rankings, topics.outcomes)
    unknown = sum(place not in snapshot.settled for topic in read for place in snapshot.places(topic))
    reasons = {"partitions of which nothing was ever committed": unknown}
    return Check.of("no partition lost records that were unread", len(snapshot.settled), reasons)


def _rows_check(rows: RowCheck | None) -> Check:
    name = "rows in files are those of the topic"
    if rows is None:
        return Check(name, 0, {"the training buffer was left out": 1})
    nothing = not any(end is not None for end in rows.ends.values())
    return Check.of(name, 0 if nothing else rows.due, {"the training buffer has no files": nothing})


def _report(
    config: VerifyConfig, history: History, faults: FaultCounts, rows: RowCheck | None, tally: HealthTally
) -> Report:
    topics = config.topics
    for (topic, code), count in history.letters.codes.items():
        if topic in (topics.acceptances, topics.outcomes):
            tally.orphans[code] += count
    codes: Counter[str] = Counter()
    for (topic, code), count in sorted(history.letters.codes.items()):
        codes[f"{topic}: {code}"] += count
    tolerated = {} if config.exactly_once else {kind: count for kind, count in faults.counts.items() if kind in DOUBLES}
    return Report(
        records=dict(history.records),
        aborted=dict(history.aborted),
        dead_letters=dict(codes),
        unsettled={topic: count for topic, count in history.unsettled.items() if count},
        rows=None if rows is None else rows.found,
        buffered={} if rows is None else _buffered(history.snapshot, rows.ends),
        faults={kind: count for kind, count in faults.counts.items() if kind not in tolerated},
        tolerated=tolerated,
        examples=faults.examples,
        health=tally.health(),
    )


def _buffered(snapshot: Snapshot, ends: Mapping[Partition, int | None]) -> dict[str, tuple[int, int]]:
    return {
        f"{topic}[{number}]": (end or 0, snapshot.ends[Partition(topic, number)])
        for (topic, number), end in ends.items()
    }
