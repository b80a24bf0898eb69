"""What the services need of the outside.

Every port has a real adapter and a memory twin, held by one contract suite.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from stream_scorer.core.buffer.buffer_files import Chunk, Sampled
from stream_scorer.core.buffer.compaction import CompactionPlan
from stream_scorer.core.buffer.erasure import Erasures
from stream_scorer.core.buffer.examples import ExampleRow
from stream_scorer.core.features.coverage import FeatureCoverage
from stream_scorer.core.joining.written_labels import LabelTally
from stream_scorer.core.messages import ReleaseId
from stream_scorer.core.records import OutputRecord, Partition, Position, Progress, Record, TopicShape
from stream_scorer.core.releases.change import OfferChange
from stream_scorer.core.releases.release import Release, ReleaseInfo
from stream_scorer.core.towers.model import Model


class Clock(Protocol):
    """Time and waiting."""

    def now_ms(self) -> int:
        """Return the wall clock, milliseconds since the epoch, UTC."""

    def monotonic_s(self) -> float:
        """Return seconds that never go backwards."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """What changed hands during a fetch; `gained` partitions of a held source do not deliver until `start`."""

    gained: tuple[Partition, ...] = ()
    dropped: tuple[Partition, ...] = ()


@dataclass(frozen=True, slots=True)
class Fetched:
    """The records of one poll.

    `ended` are partitions whose end was reached in it, `troubles` passing errors to be logged.

    `member`: the group has given this member its share of the partitions, which may be none.
    """

    records: list[Record]
    assignment: Assignment = Assignment()
    ended: tuple[Partition, ...] = ()
    troubles: tuple[str, ...] = ()
    member: bool = True


class RecordSource(Protocol):
    """A member of a consumer group. One thread only."""

    def fetch(self, *, records_max: int, wait_s: float, linger_s: float) -> Fetched:
        """Wait for the first record at most `wait_s`, then fill for at most `linger_s`.

        Partitions change hands only inside this call; no record of a dropped partition is returned.
        """

    def rewind(self) -> None:
        """Read again from the committed positions, for partitions still held."""

    def start(self, positions: Progress) -> None:
        """Let gained partitions deliver, from these offsets (a held source only)."""

    def hold(self, partitions: Sequence[Partition]) -> None:
        """Stop delivery of these partitions until `start`; records of theirs that were fetched ahead are dropped."""

    def still_at_end(self, partitions: Sequence[Partition]) -> bool:
        """Ask the broker whether all of these, whose end was told, have nothing more to read by now.

        False when it does not say.
        """

    def lag(self) -> dict[Partition, int]:
        """Return how many offsets each started partition is behind its end, as last known.

        One of which nothing has come yet, neither a record nor its end, is left out: its position is not known.
        """

    def close(self) -> None:
        """Leave the group."""


SourceT = TypeVar("SourceT", bound=RecordSource, contravariant=True)


class RecordSink(Protocol[SourceT]):
    """Writes outputs together with the progress of a source.

    Made before its source joins: it ends what a predecessor left open.
    """

    def write(self, outputs: Sequence[OutputRecord], progress: Progress, source: SourceT) -> None:
        """Write all of it, or nothing (exactly once); or outputs first, then progress (at least once).

        Raises BatchAborted when nothing was written, FatalStreamError when that is unknown.
        """

    def end_offsets(self) -> dict[Partition, int]:
        """Return, per output partition, the offset behind the last record known to be written by this sink."""

    def close(self) -> None:
        """Flush and leave."""


class LogReader(Protocol):
    """Reads stretches of partitions outside any group, read_committed, to rebuild state."""

    def committed(self, partitions: Sequence[Partition]) -> dict[Partition, Position | None]:
        """Return the group's positions, after any open transaction of a predecessor has ended.

        None: never committed.
        """

    def topics(self, names: Sequence[str]) -> dict[str, TopicShape]:
        """Return the shapes of those of the topics that exist, and that this user may see."""

    def beginning(self, partition: Partition) -> int:
        """Return the offset of the oldest record kept."""

    def end(self, partition: Partition) -> int:
        """Return the offset behind the last record, aborted or open ones counted."""

    def read(self, partition: Partition, start: int, end: int) -> Iterator[list[Record]]:
        """Yield the committed records of [start, end) in batches."""

    def close(self) -> None:
        """Let go."""


class ReleaseStore(Protocol):
    """Releases: towers and offer vectors under one id, and one pointer to the current one.

    Every method raises TransientError while the store is away.
    """

    def current(self) -> ReleaseId | None:
        """Return what the pointer names, None before the first release."""

    def releases(self) -> list[ReleaseInfo]:
        """Return what is stored, newest first; of what cannot be read, why."""

    def write(self, release: Release, model: Model) -> None:
        """Store a release beside the current one; it serves nobody yet. The same release again changes nothing."""

    def load(self, release_id: ReleaseId) -> Release:
        """Read a release with the changes made to it since. Raises ReleaseError for one that is not whole."""

    def model(self, release_id: ReleaseId) -> Model:
        """Read the towers of a release. Raises ReleaseError for one that is not whole."""

    def activate(self, release_id: ReleaseId, *, keep: int) -> None:
        """Verify that the release is whole, flip the pointer, and let releases beyond `keep` expire.

        When it raises, the pointer has not moved, or the error says that this is not known. An expiry that fails is
        logged alone.
        """

    def roll_back(self, *, keep: int) -> ReleaseId:
        """Flip to the release that was current before, verified whole, and forget that the present one was.

        Return what is current now.

        Raises ReleaseError when there is none, or when somebody flips the pointer meanwhile.
        """

    def progress(self, release_id: ReleaseId) -> dict[int, int]:
        """Return how far each partition of the offers topic is applied to the release: the next offset.

        Absent: nothing yet.
        """

    def applied_topic(self, release_id: ReleaseId) -> str:
        """Return the id of the topic that `progress` counts in, "" where none is stated."""

    def change(
        self,
        release_id: ReleaseId,
        changes: Sequence[OfferChange],
        *,
        progress: Mapping[int, tuple[int, int]],
        topic_id: str = "",
    ) -> int:
        """Apply offers' changes to the current release, and with them its progress in the topic of this id: partition -> (from, to).

        Of one offer only a later offset of the partition replaces what is stored. Returns how many were applied. Raises
        ReleaseError, and applies nothing, when the pointer names another release or when the store is not as far as
        `from` (it has lost what it knew).
        """

    def forget_changes(self, release_id: ReleaseId) -> None:
        """Take the release back to what was published, its progress with it; followers are told to load it again."""

    def changes(self, release_id: ReleaseId, after: str) -> tuple[list[OfferChange], str]:
        """Return the changes behind the mark `after`, the oldest first and a bounded number at once, and the new mark.

        Raises ReleaseError when the mark is too old to go on from: load the release again.
        """


class TrainingBuffer(Protocol):
    """Examples in files, written in chunks of offsets.

    What is written tells where to go on, so no row is lost or doubled.
    """

    def positions(self, partitions: Sequence[Partition]) -> Mapping[Partition, int | None]:
        """Return the offset behind the last whole chunk of each partition, None before the first; remove what is torn.

        Only by the member that holds these partitions, before it reads. Raises TransientError.
        """

    def ends(self, partitions: Sequence[Partition]) -> Mapping[Partition, int | None]:
        """Return the same as `positions`, for anybody: nothing is touched."""

    def exists(self) -> bool:
        """Return whether a buffer was ever written here: a place that is not there looks like an empty one else."""

    def topic_id(self, topic: str) -> str:
        """Return the id of the topic of this name that is buffered here, "" where none is stated."""

    def state_topic(self, topic: str, topic_id: str) -> None:
        """State the id of the topic of this name that is buffered here from now on."""

    def write(self, chunks: Sequence[Chunk]) -> list[Partition]:
        """Write chunks, one a partition at most, each whole or not at all; return the partitions that were refused.

        One is refused when it does not begin where its partition's last chunk ends: another member has gone on. The
        same chunk again changes nothing. Raises TransientError when it is unknown what was written: write the same
        again.
        """

    def read(self) -> Iterator[list[ExampleRow]]:
        """Yield all rows in batches, every revision, in no order."""

    def sampled(self, partitions: Sequence[Partition]) -> Mapping[Partition, Sequence[Sampled]]:
        """Return how the offsets of what is written were sampled, in order; of offsets not named nothing is known."""

    def compact(self, partitions: Sequence[Partition], plan: CompactionPlan, now_ms: int) -> int:
        """Do a bounded step of making few files of many; return how many were replaced by one, 0 when nothing is due.

        Only by the member that holds these partitions. No row is lost or read twice, whoever reads meanwhile and
        whatever is killed. Raises TransientError, UsageError for a file that cannot be read.
        """

    def erasures(self) -> Erasures:
        """Return whose rows are left out for ever."""

    def erase(self, customer_id: str, now_ms: int) -> Mapping[str, int]:
        """Forget a customer's requests until now: remove the rows, and leave out those that come later.

        Each file whole or not at all.

        Returns how many rows went, by file. Raises TransientError; again finishes what was begun.
        """

    def rows_of(self, customer_id: str) -> Mapping[str, int]:
        """Return how many rows a customer has, by file."""


@dataclass(frozen=True, slots=True)
class BatchReport:
    """What one written batch was: record counts by topic, dead letters by (source topic, code), seconds by stage.

    `oldest_s` is how old the batch's oldest record was when its outputs were written.
    """

    job: str
    consumed: Mapping[str, int]
    produced: Mapping[str, int]
    dead_letters: Mapping[tuple[str, str], int]
    stages_s: Mapping[str, float]
    oldest_s: float | None = None


class Telemetry(Protocol):
    """Figures about the jobs, by the batch, never customers' data. `job` is the command's name."""

    def batch(self, report: BatchReport) -> None:
        """Count a batch that was written."""

    def polled(self, job: str, lag: Mapping[Partition, int]) -> None:
        """Say that the job is alive, and how far each partition that it holds is behind."""

    def aborted(self, job: str) -> None:
        """Count a batch of which nothing was written."""

    def fetched(self, job: str, fetched: Fetched) -> None:
        """Note a round of the job's loop: that it goes on, what changed hands, and what the brokers said."""

    def expired_unread(self, job: str, partition: Partition, records_max: int) -> None:
        """Count records, so many at most, that retention took before the job had read them."""

    def release(self, release_id: ReleaseId, created_ms: int, *, forced: bool) -> None:
        """Name the release that is held from now on, and whether the gate had refused it; the job is ready."""

    def features(self, coverage: FeatureCoverage) -> None:
        """Count which features of the model a batch states."""

    def store_watched(self, state: Callable[[], str], silent_s: Callable[[], float]) -> None:
        """Take functions that say how it stands with the store of releases, and how long it has not confirmed what is held."""

    def labels(self, tally: LabelTally, answers: Mapping[str, int], open_requests: int) -> None:
        """Count labels, and answers by fate: joined, duplicate, erased, or why they can't count.

        Say how many requests are open.
        """


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """What a topic should be; `config` are broker keys such as `retention.ms`."""

    name: str
    partitions: int
    replication_factor: int
    config: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class TopicState:
    """What a topic is; `config` None: the broker doesn't tell."""

    partitions: int
    replication_factor: int
    config: Mapping[str, str] | None


class TopicAdmin(Protocol):
    """The brokers as an operator sees them. Every method raises NotReady when none answers in time."""

    def brokers(self) -> list[str]:
        """Return the addresses of the brokers."""

    def describe(self, names: Sequence[str]) -> dict[str, TopicState]:
        """Return those of the topics that exist."""

    def create(self, specs: Sequence[TopicSpec]) -> None:
        """Create topics and wait until they are seen; one that exists stays as it is.

        Raises UsageError when refused.
        """

    def transactions(self) -> str | None:
        """Return why transactions are not possible, None when they are."""

    def lag(self, group: str, topics: Sequence[str]) -> dict[Partition, int]:
        """Return how far a group is behind in each partition.

        A partition it never committed counts from its beginning.
        """

    def members(self, group: str) -> int:
        """Return how many members a group has."""

    def grow(self, names: Sequence[str], partitions: int) -> None:
        """Let those of the topics that have fewer partitions have so many, and wait until that is seen.

        Raises UsageError for one that has more, before any has grown, and when the broker refuses.
        """

    def set_positions(self, group: str, positions: Progress) -> None:
        """Commit positions for a group without members. Raises UsageError when it has some."""


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """What the server under the store of releases is; None: it doesn't tell. `memory_max_bytes` 0: no limit."""

    version: str
    eviction_policy: str | None
    memory_used_bytes: int | None
    memory_max_bytes: int | None


class StoreAdmin(Protocol):
    """The server under the store of releases, as an operator sees it."""

    def facts(self) -> StoreFacts:
        """Ask the server. Raises TransientError when it does not answer in time."""


@dataclass(frozen=True, slots=True)
class Event:
    """A record to send; `event_time_ms` is the event's own time, where it has one."""

    key: bytes | None
    value: bytes | None
    event_time_ms: int | None = None


class RecordFeed(Protocol):
    """Writes records outside any transaction, as fast as it can: events into the ring."""

    def send(self, records: Sequence[OutputRecord]) -> None:
        """Hand records over; what cannot be delivered is counted, not raised."""

    def flush(self) -> None:
        """Wait until everything is delivered or given up."""

    def failures(self) -> Counter[str]:
        """Return how many records were not delivered, by reason."""


class Sorter(Protocol):
    """Sorts more rows than fit in memory: (key, order, payload)."""

    def add(self, rows: Iterable[tuple[str, int, bytes]]) -> None:
        """Take rows in."""

    def groups(self) -> Iterator[tuple[str, list[bytes]]]:
        """Yield each key once, ascending, with its payloads in ascending order."""

    def close(self) -> None:
        """Throw everything away."""
