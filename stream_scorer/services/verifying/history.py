"""The topics' records for `verify`, sorted together by request, by acceptance and by row."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

from stream_scorer.core.joining.erasure import ErasedCustomers
from stream_scorer.core.joining.labelling import Horizons
from stream_scorer.core.messages import Acceptance, CustomerRequest, Erasure, LabelledRanking, Ranking
from stream_scorer.core.records import Partition, Record
from stream_scorer.core.verifying import history
from stream_scorer.core.verifying.event_times import NO_TIME, PartitionTimes
from stream_scorer.core.verifying.history import Fate, Input, Output, Seen
from stream_scorer.core.verifying.judgements import Fault
from stream_scorer.core.verifying.refusals import AMBIGUOUS, BY_STATE, KNOWN, UNREADABLE, is_readable
from stream_scorer.core.verifying.replies import Claim, Question, question
from stream_scorer.core.verifying.scores import RankingSample
from stream_scorer.core.wire.codec import decode_all
from stream_scorer.ports import Sorter
from stream_scorer.services.verifying.letters import DeadLetters
from stream_scorer.services.verifying.reading import Readers, Snapshot, order_of, place_of, with_aborted

PENDING_MAX = 10_000
PROGRESS_EVERY = 1_000


class Sorters:
    """A sorter for each kind of judgement, and a buffer of records before it."""

    def __init__(self, new_sorter: Callable[[], Sorter]) -> None:
        with ExitStack() as stack:
            made = [stack.enter_context(closing(new_sorter())) for _ in range(5)]
            self._closing = stack.pop_all()
        self.letters, self.requests, self.acceptances, self.labels, self.rows = made
        self._pending: dict[int, list[tuple[str, int, bytes]]] = {id(sorter): [] for sorter in made}

    def put(self, sorter: Sorter, key: str, order: int, seen: Seen) -> None:
        """Add what is known from a record under a key; sorters get many at once, which is faster."""
        pending = self._pending[id(sorter)]
        pending.append((key, order, history.pack(seen)))
        if len(pending) >= PENDING_MAX:
            sorter.add(pending)
            pending.clear()

    def groups(self, sorter: Sorter) -> Iterator[tuple[str, list[Seen]]]:
        """Yield each key with all that is known of it, in order."""
        sorter.add(self._pending[id(sorter)])
        self._pending[id(sorter)].clear()
        for key, payloads in sorter.groups():
            yield key, [history.unpack(payload) for payload in payloads]

    def close(self) -> None:
        """Remove the sorters and their files."""
        self._closing.close()


class History:
    """Reads the topics once, record by record, into the sorters."""

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
        """Dead letters, by code, that cannot be judged from their record alone."""
        self.compared: Counter[str] = Counter()
        """Inputs, by topic, whose outputs can be compared with them."""
        self.sample = RankingSample()
        self.asked = RankingSample()
        """Requests, sampled as their rankings are."""
        self.stating = 0
        """Requests that state features of offers."""
        self._offsets, self._offsets_all = 0, snapshot.offsets()
        self.times: dict[int, PartitionTimes] = {}
        self.oldest_ms: dict[str, int] = {}
        """The broker's time of the oldest record, for topics from which retention has removed some."""

    def read(self, progress: Callable[[int, int], None], expect_rows: Callable[[Record], None] | None) -> None:
        """Read dead letters first, then every other topic, in the order in which the dead letters are sorted.

        `progress` is called with the number of offsets read and their number in all.
        """
        topics, self._progress = self._topics, progress
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
        self.letters.finish()

    def _walk(self, topic: str) -> Iterator[tuple[Record, bool]]:
        for place in self.snapshot.places(topic):
            for number, (record, aborted) in enumerate(with_aborted(self.readers, place, self.snapshot)):
                if number == 0 and self.snapshot.beginnings[place] > 0:
                    self.oldest_ms[topic] = max(self.oldest_ms.get(topic, NO_TIME), record.timestamp_ms)
                (self.aborted if aborted else self.records)[topic] += 1
                if number % PROGRESS_EVERY == 0:
                    self._progress(self._offsets + record.offset - self.snapshot.beginnings[place], self._offsets_all)
                yield record, aborted
            self._offsets += self.snapshot.ends[place] - self.snapshot.beginnings[place]
            self._progress(self._offsets, self._offsets_all)

    def _fate(self, record: Record, *, aborted: bool) -> Fate:
        settled = record.offset < self.snapshot.settled.get(Partition(record.topic, record.partition), 0)
        if not aborted and not settled and record.topic != self._topics.labels:
            self.unsettled[record.topic] += 1
        dead = self.letters.of(record)
        if dead and aborted:
            self._note(
                Fault("dead_letter_of_aborted", f"{place_of(record)} was aborted, yet a dead letter is about it")
            )
        elif dead:
            self._judge_refusal(record, dead)
        return Fate(settled, dead, aborted)

    def _judge_refusal(self, record: Record, code: str) -> None:
        readable = code in UNREADABLE | AMBIGUOUS and is_readable(record, self._kinds[record.topic])
        if readable and code in UNREADABLE:
            self._note(Fault("dead_letter_wrong", f"{place_of(record)} was refused as {code}, yet it can be read"))
        elif readable or code in BY_STATE or code not in KNOWN:
            self.refused_unjudged[code] += 1

    def _take_request(self, record: Record, fate: Fate) -> None:
        asked = None if fate.aborted or fate.dead else question(record)
        key = history.request_key(record)
        self._take_input(self._sorters.requests, key, asked, record, fate)
        if asked is not None and key is not None:
            self.asked.add(key, record.value or b"")
            self.stating += asked.states_features

    def _take_acceptance(self, record: Record, fate: Fate) -> None:
        self._take_input(self._sorters.acceptances, history.acceptance_key(record), history.claim(record), record, fate)

    def _take_input(
        self, sorter: Sorter, key: str | None, asked: Question | Claim | None, record: Record, fate: Fate
    ) -> None:
        if not fate.aborted:
            self.compared[record.topic] += asked is not None and not fate.dead
            seen = Input(record.partition, record.offset, record.timestamp_ms, fate.settled, fate.dead, asked)
            self._sorters.put(
                sorter, key or f"a record that cannot be read\0\0{place_of(record)}", order_of(record), seen
            )

    def _take_ranking(self, record: Record, fate: Fate) -> None:
        known = history.ranked(record, fate, self._times(record))
        if known is None:
            self._unreadable(record, fate)
            return
        key, ranked = known
        request_id = key.split("\0", 1)[0]
        given = Output(record.partition, record.offset, fate.aborted, history.reply(record))
        self._sorters.put(self._sorters.requests, request_id, order_of(record), given)
        if not fate.aborted and not fate.dead:
            self.sample.add(request_id, record.value or b"")
        self._sorters.put(self._sorters.labels, f"{key}\0{record.partition}", record.offset, ranked)

    def _take_outcome(self, record: Record, fate: Fate) -> None:
        known, pair_key = history.answer(record, fate, self._times(record)), history.acceptance_key(record)
        if known is None or pair_key is None:
            self._take_erasure(record, fate)
            return
        key, answer = known
        given = Output(record.partition, record.offset, fate.aborted, history.claim(record))
        self._sorters.put(self._sorters.acceptances, pair_key, order_of(record), given)
        self._sorters.put(self._sorters.labels, f"{key}\0{record.partition}", record.offset, answer)

    def _take_erasure(self, record: Record, fate: Fate) -> None:
        erasures = decode_all([record], Erasure).messages
        for erasure in erasures:
            self.erased.note(erasure)
        if not erasures:
            self._unreadable(record, fate)

    def _take_label(self, record: Record, fate: Fate) -> None:
        known = history.labels_read(record, fate)
        if known is None:
            self._unreadable(record, fate)
            return
        key, word = known
        self._sorters.put(self._sorters.labels, f"{key}\0{record.partition}", record.offset, word)

    def _unreadable(self, record: Record, fate: Fate) -> None:
        # joiners alone write labels: a record there that is no label is a fault whether or not it has been read
        due = fate.settled or record.topic == self._topics.labels
        if due and not fate.dead and not fate.aborted:
            self._note(
                Fault("record_unreadable", f"{place_of(record)} is no message of its topic, and has no dead letter")
            )

    def _times(self, record: Record) -> PartitionTimes:
        return self.times.setdefault(record.partition, PartitionTimes(self._horizons))
