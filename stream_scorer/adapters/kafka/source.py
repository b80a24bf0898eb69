"""A member of a consumer group."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from confluent_kafka import OFFSET_INVALID, Consumer, KafkaError, KafkaException, Message, TopicPartition

from stream_scorer.adapters.kafka.bounded import within
from stream_scorer.adapters.kafka.client import (
    NEVER_HEALS,
    ClientConfig,
    kafka_error,
    new_consumer,
    record_of,
    refused,
    transient,
)
from stream_scorer.adapters.kafka.client_log import ClientLog
from stream_scorer.adapters.kafka.membership import any_connected, generation_of
from stream_scorer.adapters.kafka.retries import retrying, until_coordinated
from stream_scorer.core.forms.topic_forms import TopicForms
from stream_scorer.core.records import Partition, Position, Progress, Record
from stream_scorer.errors import FatalStreamError
from stream_scorer.ports import Assignment, Fetched

_TIMEOUT_S = 20.0
_END_TIMEOUT_S = 1.0
LOOK_EVERY_MS = 10_000
# what a seek right after an assignment meets until the partition's fetcher has started
_NOT_STARTED = frozenset({KafkaError._STATE, KafkaError._TIMED_OUT})


class KafkaSource:
    """See RecordSource.

    `mirrored` topics are not subscribed: partition n of them is assigned wherever partition n of the first topic is, so
    that the same member has both, whatever the assignor. With `held`, gained partitions stay paused until `start`.
    """

    def __init__(
        self,
        config: ClientConfig,
        topics: Sequence[str],
        *,
        mirrored: Sequence[str] = (),
        held: bool = False,
        forms: TopicForms | None = None,
    ) -> None:
        """Join the group of `config` (group.id); records of topics in `forms` come as JSON."""
        self._client_log = ClientLog()
        self._troubles: list[str] = []
        looking = {"statistics.interval.ms": LOOK_EVERY_MS, **config}
        self._consumer = new_consumer(looking, self._client_log, statistics=self._look)
        self._asks_generation = config.get("group.protocol") == "consumer"
        self._mirrored, self._held, self._forms = tuple(mirrored), held, forms
        self._owned: set[Partition] = set()
        self._started: set[Partition] = set()
        self._gained: list[Partition] = []
        self._dropped: list[Partition] = []
        self._next: dict[Partition, int] = {}
        self._ends: dict[Partition, int] = {}
        self._stuck = False
        self._member = False
        self._consumer.subscribe(list(topics), on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost)

    # -- rebalance callbacks: run inside poll() and consume() only, and only note what happened

    def _mirror(self, partitions: Sequence[TopicPartition]) -> list[Partition]:
        own = [Partition(each.topic, each.partition) for each in partitions]
        return own + [Partition(topic, each.number) for topic in self._mirrored for each in own]

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._member = True
        gained = self._mirror(partitions)
        if self._held:
            # an explicit offset: with stored ones, a seek() during their look-up fails
            consumer.incremental_assign([TopicPartition(*each, 0) for each in gained])
            consumer.pause([TopicPartition(*each) for each in gained])
        else:
            consumer.incremental_assign([TopicPartition(*each) for each in gained])
            self._started.update(gained)
        self._owned.update(gained)
        self._gained.extend(gained)

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        dropped = self._mirror(partitions)
        owned = [each for each in dropped if each in self._owned]
        if owned:
            consumer.incremental_unassign([TopicPartition(*each) for each in owned])
        self._forget(dropped)
        self._dropped.extend(dropped)

    def _lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._member = False
        self._revoked(consumer, partitions)

    def _forget(self, partitions: Sequence[Partition]) -> None:
        for each in partitions:
            self._owned.discard(each)
            self._started.discard(each)
            self._next.pop(each, None)
            self._ends.pop(each, None)
            if each in self._gained:
                self._gained.remove(each)

    # -- RecordSource

    def fetch(self, *, records_max: int, wait_s: float, linger_s: float) -> Fetched:
        """See RecordSource.fetch."""
        self._gained, self._dropped, self._troubles = [], [], []
        with _fatal():
            first = self._consumer.poll(wait_s)
            messages = [] if first is None else [first]
            if first is not None and records_max > 1:
                # consume() waits for the whole number or the whole time: only what is there already, unless asked to
                # linger
                messages += self._consumer.consume(records_max - 1, linger_s)
        records, ended = self._sort_out(messages)
        if self._forms is not None:
            records = self._forms.read(records)
        assignment = Assignment(tuple(self._gained), tuple(self._dropped))
        return Fetched(records, assignment, ended, tuple(self._troubles), self._is_member())

    def _look(self, statistics: str) -> None:
        """Note that no broker is connected, which poll() never reports."""
        if not any_connected(statistics):
            self._troubles.append(f"no broker is connected: {self._client_log.reason or 'no reason is known'}")

    def _is_member(self) -> bool:
        # with the consumer protocol no callback runs for a member that is given no partition
        if not self._member and self._asks_generation:
            self._member = generation_of(self._consumer.consumer_group_metadata()) > 0
        return self._member

    def _sort_out(self, messages: Sequence[Message]) -> tuple[list[Record], tuple[Partition, ...]]:
        records: list[Record] = []
        ended: dict[Partition, None] = {}
        following: dict[Partition, int] = {}
        for message in messages:
            error = message.error()
            # equal to its Partition, and made in a tenth of the time
            place: Partition = (message.topic(), message.partition())  # type: ignore[assignment]
            if error is not None and error.code() != KafkaError._PARTITION_EOF:
                self._troubles.append(_passing(error))
            elif place not in self._started:
                continue  # its partition was revoked or paused between poll() and consume()
            elif error is not None:
                partition = Partition(*place)
                ended[partition] = None
                # behind the markers that end transactions, which are never handed over
                self._ends[partition] = following[partition] = message.offset() or 0
            else:
                record = record_of(message)
                records.append(record)
                following[place] = record.offset + 1
                if ended:
                    ended.pop(place, None)
        self._next |= {Partition(*place): offset for place, offset in following.items()}
        return records, tuple(ended)

    # -- positions

    def rewind(self) -> None:
        """See RecordSource.rewind."""
        wanted = [TopicPartition(*each) for each in sorted(self._started)]
        tries = until_coordinated(for_s=_TIMEOUT_S)
        with transient("reading committed offsets"):
            committed = tries(self._consumer.committed, wanted, timeout=_TIMEOUT_S) if wanted else []
        positions: dict[Partition, Position] = {}
        for place in committed:
            refused("reading the committed offset", place)
            if place.offset == OFFSET_INVALID:
                with transient("reading the oldest offset"):
                    place.offset = self._consumer.get_watermark_offsets(place, timeout=_TIMEOUT_S)[0]
            positions[Partition(place.topic, place.partition)] = Position(place.offset)
        self.start(positions)

    def start(self, positions: Progress) -> None:
        """See RecordSource.start."""
        places = [
            TopicPartition(*partition, position.offset)
            for partition, position in positions.items()
            if partition in self._owned
        ]
        tries = retrying(lambda reason: reason.code() in _NOT_STARTED, for_s=_TIMEOUT_S, wait_s=0.01)
        for place in places:
            with transient(f"seeking {place.topic}[{place.partition}] to {place.offset}"):
                tries(self._consumer.seek, place)
        self._consumer.resume(places)
        started = [Partition(place.topic, place.partition) for place in places]
        self._started.update(started)
        self._next.update((Partition(place.topic, place.partition), place.offset) for place in places)

    def hold(self, partitions: Sequence[Partition]) -> None:
        """See RecordSource.hold."""
        owned = [each for each in partitions if each in self._owned]
        self._consumer.pause([TopicPartition(*each) for each in owned])
        self._started.difference_update(owned)

    def group_metadata(self) -> object:
        """Return what a transactional producer needs to commit offsets for this member."""
        return self._consumer.consumer_group_metadata()

    def commit(self, progress: Progress) -> None:
        """Commit positions outside a transaction (at least once).

        Raises TransientError when they are refused, FatalStreamError when that cannot change, or when nobody answers.
        """
        offsets = [
            TopicPartition(*partition, position.offset, position.metadata) for partition, position in progress.items()
        ]
        if not offsets:
            return
        committed: list[TopicPartition] = []

        def commit() -> None:
            committed.extend(self._consumer.commit(offsets=offsets, asynchronous=False) or [])

        self._stuck = True
        with transient("committing offsets"):
            within(_TIMEOUT_S, commit, doing="committing offsets")
        self._stuck = False
        for place in committed:
            refused("committing an offset", place)

    def still_at_end(self, partitions: Sequence[Partition]) -> bool:
        """See RecordSource.still_at_end."""
        return all(each in self._ends and self._end_of(each) == self._ends[each] for each in partitions)

    def _end_of(self, partition: Partition) -> int | None:
        try:
            return int(self._consumer.get_watermark_offsets(TopicPartition(*partition), timeout=_END_TIMEOUT_S)[1])
        except KafkaException:
            return None

    def lag(self) -> dict[Partition, int]:
        """See RecordSource.lag."""
        lags: dict[Partition, int] = {}
        for each in self._owned & self._started & self._next.keys():
            _, high = self._consumer.get_watermark_offsets(TopicPartition(*each), cached=True)
            if high >= 0:
                lags[each] = max(0, high - self._next[each])
        return lags

    def close(self) -> None:
        """See RecordSource.close; not while a commit hangs in the client, which would hang too."""
        if not self._stuck:
            self._consumer.close()


@contextmanager
def _fatal() -> Iterator[None]:
    try:
        yield
    except KafkaException as error:
        msg = f"reading: {kafka_error(error).str()}"
        raise FatalStreamError(msg) from error


def _passing(error: KafkaError) -> str:
    """Return why a read failed that may succeed later. Raises FatalStreamError for what cannot heal.

    A message carries its error without the flag that `fatal()` reads, so the code decides as well.
    """
    if error.fatal() or error.code() in NEVER_HEALS:
        raise FatalStreamError(f"reading: {error.str()}")
    return str(error.str())
