"""verify: read the topics and say, in the manner of a Jepsen checker, what was lost, doubled, torn or wrong.

Everything that is known of one request, one acceptance or one row is brought together by sorting on disk, and judged at once
(`core.verifying.judgements`); so memory is bounded whatever the topics hold. Records that nobody has settled yet are no fault.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import TypeVar

from stream_scorer.core.evaluation.label_health import Health, HealthTally
from stream_scorer.core.joining.labelling import Horizons
from stream_scorer.core.records import Partition
from stream_scorer.core.verifying.event_times import NO_TIME
from stream_scorer.core.verifying.history import Answer, Input, Output, Ranked, Rows, Seen, Word
from stream_scorer.core.verifying.judgements import (
    Expiry,
    Fault,
    JoinClock,
    Standpoint,
    judge_labels,
    judge_pairs,
    judge_rows,
)
from stream_scorer.ports import Sorter, TrainingBuffer
from stream_scorer.services.operating.verify_history import History, RowCheck, Sorters
from stream_scorer.services.operating.verify_reading import Readers, VerifyTopics, join_positions, take_snapshot

Kind = TypeVar("Kind", Input, Output, Rows)

# what at-least-once delivery may do: a crash between outputs and positions repeats outputs
DOUBLES = frozenset({"request_doubled", "acceptance_doubled", "dead_letter_doubled"})


@dataclass(frozen=True, slots=True)
class VerifyConfig:
    """What a check is told. `partitions` counts each topic's; `keep_prob` is the buffer's now, for what its files don't tell."""

    topics: VerifyTopics
    partitions: Mapping[str, int]
    horizons: Horizons
    exactly_once: bool
    keep_prob: float = 1.0
    examples_max: int = 5


@dataclass(frozen=True, slots=True)
class Report:
    """What a check found. `tolerated` are faults that the delivery mode allows; `aborted` is what no careful reader sees.

    `unsettled`: records whose reader has not committed behind them, so that nothing is due for them yet. `rows`: of the buffer, None
    when it was not looked at. `examples`: the first few of each kind of fault.
    """

    records: Mapping[str, int]
    aborted: Mapping[str, int]
    dead_letters: Mapping[str, int]
    unsettled: Mapping[str, int]
    rows: int | None
    faults: Mapping[str, int]
    tolerated: Mapping[str, int]
    examples: Mapping[str, Sequence[str]]
    health: Health

    @property
    def passed(self) -> bool:
        """Return whether nothing is wrong."""
        return not self.faults


@dataclass(slots=True)
class _Faults:
    """Counts of faults by kind, and the first few of each."""

    examples_max: int
    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def note(self, fault: Fault) -> None:
        self.counts[fault.kind] += 1
        known = self.examples.setdefault(fault.kind, [])
        if len(known) < self.examples_max:
            known.append(fault.what)

    def add(self, faults: Iterable[Fault]) -> None:
        for fault in faults:
            self.note(fault)


def verify(
    readers: Readers,
    buffer: TrainingBuffer | None,
    new_sorter: Callable[[], Sorter],
    config: VerifyConfig,
    *,
    progress: Callable[[int], None] = lambda count: None,
) -> Report:
    """Check everything up to the ends that the topics have now. Raises TransientError."""
    faults = _Faults(config.examples_max)
    with closing(Sorters(new_sorter)) as sorters:
        # files before topics: a row that is in a file by now is on the topic by then
        rows = None if buffer is None else _read_rows(buffer, sorters, config)
        snapshot = take_snapshot(readers, config.topics, config.partitions)
        history = History(readers, snapshot, sorters, config.horizons, faults.note)
        history.read(progress, None if rows is None else rows.expect)
        tally = HealthTally()
        faults.add(_judge(config, history, sorters, tally))
    return _report(config, history, faults, rows, tally)


def _read_rows(buffer: TrainingBuffer, sorters: Sorters, config: VerifyConfig) -> RowCheck:
    labels = config.topics.labels
    ends = buffer.ends([Partition(labels, number) for number in range(config.partitions[labels])])
    rows = RowCheck(sorters, ends, buffer.erasures(), keep_prob=config.keep_prob)
    rows.add_files(buffer.read())
    # after the rows: a chunk that came meanwhile is known by then
    rows.sampled = buffer.sampled(list(ends))
    return rows


def _judge(config: VerifyConfig, history: History, sorters: Sorters, tally: HealthTally) -> Iterator[Fault]:
    topics = config.topics
    yield from _judge_pairs(
        "request", sorters.groups(sorters.requests), _expiry(history, topics.requests, topics.rankings)
    )
    yield from _judge_pairs(
        "acceptance", sorters.groups(sorters.acceptances), _expiry(history, topics.acceptances, topics.outcomes)
    )
    views = _views(config, history)
    for key, seen in sorters.groups(sorters.labels):
        judged = judge_labels(
            key, [one for one in seen if isinstance(one, Ranked | Answer | Word)], views[int(key.rsplit("\0", 1)[1])]
        )
        tally.add(judged)
        yield from judged.faults
    for key, seen in sorters.groups(sorters.rows):
        yield from judge_rows(key, _of(seen, Rows), labels_expired=history.snapshot.expired(topics.labels))


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
    for number in range(snapshot.partitions[topics.rankings]):
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


def _report(
    config: VerifyConfig, history: History, faults: _Faults, rows: RowCheck | None, tally: HealthTally
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
        faults={kind: count for kind, count in faults.counts.items() if kind not in tolerated},
        tolerated=tolerated,
        examples=faults.examples,
        health=tally.health(),
    )
