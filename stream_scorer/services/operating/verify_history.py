"""The topics' records, brought together by request, by acceptance and by row for `verify`."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from itertools import groupby

import msgspec
import xxhash

from stream_scorer.core.buffer.buffer_files import Sampled, keep_prob_at
from stream_scorer.core.buffer.erasure import Erasures
from stream_scorer.core.buffer.examples import ExampleRow, take_apart
from stream_scorer.core.joining.erasure import ErasedCustomers
from stream_scorer.core.joining.labelling import Horizons
from stream_scorer.core.messages import Acceptance, CustomerRequest, Erasure, LabelledRanking, Ranking
from stream_scorer.core.records import Partition, Record
from stream_scorer.core.verifying import history
from stream_scorer.core.verifying.event_times import NO_TIME, PartitionTimes
from stream_scorer.core.verifying.history import Fate, Input, Output, Rows, Seen
from stream_scorer.core.verifying.judgements import Fault
from stream_scorer.core.verifying.refusals import AMBIGUOUS, BY_STATE, KNOWN, UNREADABLE, is_readable
from stream_scorer.core.wire.codec import decode_all
from stream_scorer.ports import Sorter
from stream_scorer.services.operating.verify_letters import DeadLetters
from stream_scorer.services.operating.verify_reading import Readers, Snapshot, with_aborted

PENDING_MAX = 10_000
_encode = msgspec.json.Encoder().encode


class Sorters:
    """One sorter a question, and rows on their way to it."""

    def __init__(self, new_sorter: Callable[[], Sorter]) -> None:
        with ExitStack() as stack:
            made = [stack.enter_context(closing(new_sorter())) for _ in range(5)]
            self._closing = stack.pop_all()
        self.letters, self.requests, self.acceptances, self.labels, self.rows = made
        self._pending: dict[int, list[tuple[str, int, bytes]]] = {id(sorter): [] for sorter in made}

    def put(self, sorter: Sorter, key: str, order: int, seen: Seen) -> None:
        """Add a row, many at once."""
        pending = self._pending[id(sorter)]
        pending.append((key, order, history.pack(seen)))
        if len(pending) >= PENDING_MAX:
            sorter.add(pending)
            pending.clear()

    def groups(self, sorter: Sorter) -> Iterator[tuple[str, list[Seen]]]:
        """Yield what is known of each key."""
        sorter.add(self._pending[id(sorter)])
        self._pending[id(sorter)].clear()
        for key, payloads in sorter.groups():
            yield key, [history.unpack(payload) for payload in payloads]

    def close(self) -> None:
        """Throw everything away."""
        self._closing.close()


class History:
    """Reads topics into sorters, one record at a time."""

    def __init__(
        self, readers: Readers, snapshot: Snapshot, sorters: Sorters, horizons: Horizons, note: Callable[[Fault], None]
    ) -> None:
        self.readers, self.snapshot = readers, snapshot
        self._topics, self._sorters, self._horizons, self._note = snapshot.topics, sorters, horizons, note
        topics = snapshot.topics
        self._kinds = {topics.requests: CustomerRequest, topics.labels: LabelledRanking, topics.rankings: Ranking}
        self._kinds |= dict.fromkeys((topics.acceptances, topics.outcomes), Acceptance)
        self.letters = DeadLetters(sorters.letters, snapshot, note)
        self.records: Counter[str] = Counter()
        self.aborted: Counter[str] = Counter()
        self.unsettled: Counter[str] = Counter()
        self.erased = ErasedCustomers()
        self.refused_unjudged: Counter[str] = Counter()
        """Dead letters by code that the records alone cannot judge."""
        self.times: dict[int, PartitionTimes] = {}
        self.oldest_ms: dict[str, int] = {}
        """The broker's time of the oldest record kept, for topics of which retention has taken some."""

    def read(self, progress: Callable[[int], None], expect_rows: Callable[[Record], None] | None) -> None:
        """Read dead letters first, then every other topic in the order in which they are handed out."""
        topics = self._topics
        self.letters.add(record for record, aborted in self._walk(topics.dead_letters) if not aborted)
        self.letters.rewind()
        takers: dict[str, Callable[[Record, Fate], None]] = {
            topics.requests: self._take_request,
            topics.acceptances: self._take_acceptance,
            topics.rankings: self._take_ranking,
            topics.outcomes: self._take_outcome,
            topics.labels: self._take_label,
        }
        for topic in sorted(takers):
            for record, aborted in self._walk(topic):
                takers[topic](record, self._fate(record, aborted=aborted))
                if expect_rows and topic == topics.labels and not aborted:
                    expect_rows(record)
            progress(self.records.total())
        self.letters.finish()

    def _walk(self, topic: str) -> Iterator[tuple[Record, bool]]:
        for place in self.snapshot.places(topic):
            for number, (record, aborted) in enumerate(with_aborted(self.readers, place, self.snapshot)):
                if number == 0 and self.snapshot.beginnings[place] > 0:
                    self.oldest_ms[topic] = max(self.oldest_ms.get(topic, NO_TIME), record.timestamp_ms)
                (self.aborted if aborted else self.records)[topic] += 1
                yield record, aborted

    def _fate(self, record: Record, *, aborted: bool) -> Fate:
        settled = record.offset < self.snapshot.settled.get(Partition(record.topic, record.partition), 0)
        if not aborted and not settled and record.topic != self._topics.labels:
            self.unsettled[record.topic] += 1
        dead = self.letters.of(record)
        if dead and aborted:
            self._note(Fault("dead_letter_of_aborted", f"{_place(record)} was aborted, and a dead letter is about it"))
        elif dead:
            self._judge_refusal(record, dead)
        return Fate(settled, dead, aborted)

    def _judge_refusal(self, record: Record, code: str) -> None:
        readable = code in UNREADABLE | AMBIGUOUS and is_readable(record, self._kinds[record.topic])
        if readable and code in UNREADABLE:
            self._note(Fault("dead_letter_wrong", f"{_place(record)} was refused as {code}, and can be read"))
        elif readable or code in BY_STATE or code not in KNOWN:
            self.refused_unjudged[code] += 1

    def _take_request(self, record: Record, fate: Fate) -> None:
        self._take_input(self._sorters.requests, history.request_key(record), record, fate)

    def _take_acceptance(self, record: Record, fate: Fate) -> None:
        self._take_input(self._sorters.acceptances, history.acceptance_key(record), record, fate)

    def _take_input(self, sorter: Sorter, key: str | None, record: Record, fate: Fate) -> None:
        if not fate.aborted:
            seen = Input(record.partition, record.offset, record.timestamp_ms, fate.settled, fate.dead)
            self._sorters.put(sorter, key or f"a record that cannot be read\0\0{_place(record)}", _order(record), seen)

    def _take_ranking(self, record: Record, fate: Fate) -> None:
        known = history.ranked(record, fate, self._times(record))
        if known is None:
            self._unreadable(record, fate)
            return
        request_id, ranked = known
        self._sorters.put(
            self._sorters.requests, request_id, _order(record), Output(record.partition, record.offset, fate.aborted)
        )
        self._sorters.put(self._sorters.labels, f"{request_id}\0{record.partition}", record.offset, ranked)

    def _take_outcome(self, record: Record, fate: Fate) -> None:
        known, key = history.answer(record, fate, self._times(record)), history.acceptance_key(record)
        if known is None or key is None:
            self._take_erasure(record, fate)
            return
        request_id, answer = known
        self._sorters.put(
            self._sorters.acceptances, key, _order(record), Output(record.partition, record.offset, fate.aborted)
        )
        self._sorters.put(self._sorters.labels, f"{request_id}\0{record.partition}", record.offset, answer)

    def _take_erasure(self, record: Record, fate: Fate) -> None:
        erasures = decode_all([record], Erasure).messages
        for erasure in erasures:
            self.erased.note(erasure)
        if not erasures:
            self._unreadable(record, fate)

    def _take_label(self, record: Record, fate: Fate) -> None:
        known = history.word(record, fate)
        if known is None:
            self._unreadable(record, fate)
            return
        request_id, word = known
        self._sorters.put(self._sorters.labels, f"{request_id}\0{record.partition}", record.offset, word)

    def _unreadable(self, record: Record, fate: Fate) -> None:
        # nobody but a joiner writes labels: one that is none is a fault before anybody reads it
        due = fate.settled or record.topic == self._topics.labels
        if due and not fate.dead and not fate.aborted:
            self._note(
                Fault("record_unreadable", f"{_place(record)} is not what its topic holds, and has no dead letter")
            )

    def _times(self, record: Record) -> PartitionTimes:
        return self.times.setdefault(record.partition, PartitionTimes(self._horizons))


class RowCheck:
    """Rows of the training buffer beside those that the topic makes due."""

    def __init__(
        self, sorters: Sorters, ends: Mapping[Partition, int | None], erasures: Erasures, *, keep_prob: float
    ) -> None:
        self._sorters, self._ends, self._erasures, self._keep_prob = sorters, ends, erasures, keep_prob
        self.found = 0
        self.sampled: Mapping[Partition, Sequence[Sampled]] = {}

    def add_files(self, batches: Iterable[list[ExampleRow]]) -> None:
        """Take in what the files hold."""
        for rows in batches:
            self.found += len(rows)
            for (request_id, revision), group in groupby(rows, key=lambda row: (row.request_id, row.revision)):
                self._put(request_id, revision, list(group), found=True, settled=True)

    def expect(self, record: Record) -> None:
        """Take in what a label on the topic makes due."""
        for message in decode_all([record], LabelledRanking).messages:
            place = Partition(record.topic, record.partition)
            known = keep_prob_at(record.offset, self.sampled.get(place, ()))
            rows = self._erasures.kept(take_apart(message, keep_prob=self._keep_prob if known is None else known))
            settled = record.offset < (self._ends.get(place) or 0)
            if rows:
                self._put(message.request_id, message.revision, rows, found=False, settled=settled)

    def _put(self, request_id: str, revision: int, rows: list[ExampleRow], *, found: bool, settled: bool) -> None:
        total = sum(xxhash.xxh3_64_intdigest(_encode(row)) for row in rows) % 2**63
        self._sorters.put(self._sorters.rows, f"{request_id}\0{revision}", 0, Rows(found, settled, len(rows), total))


def _place(record: Record) -> str:
    return f"{record.topic}[{record.partition}]@{record.offset}"


def _order(record: Record) -> int:
    return record.partition << 40 | record.offset
