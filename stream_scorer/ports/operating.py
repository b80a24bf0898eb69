"""What operators see and do: figures about the jobs, topics, and the server under the store of releases."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from stream_scorer.core.features.coverage import FeatureCoverage
from stream_scorer.core.joining.written_labels import LabelTally
from stream_scorer.core.messages import ReleaseId
from stream_scorer.core.ranking.recall import Recall
from stream_scorer.core.records import Partition, Progress
from stream_scorer.ports.streams import Fetched


@dataclass(frozen=True, slots=True)
class BatchReport:
    """What one written batch was: record counts by topic, dead letters by (source topic, code).

    `oldest_s` is how old the batch's oldest record was when its outputs were written.
    """

    job: str
    consumed: Mapping[str, int]
    produced: Mapping[str, int]
    dead_letters: Mapping[tuple[str, str], int]
    oldest_s: float | None = None


Operation = Literal["poll", "process", "send"]
IndexFault = Literal["recall_low", "outgrown"]


class Telemetry(Protocol):
    """Figures about the jobs, by the batch, never customers' data. `job` is the command's name."""

    def batch(self, report: BatchReport) -> None:
        """Count a batch that was written."""

    def polled(self, job: str, lag: Mapping[Partition, int], read_ms: Mapping[Partition, int]) -> None:
        """Note how many records partitions are behind, and a time of each up to which all its records are read.

        That is the time of the last record read, or of the first one unread. Both may lack partitions of which nothing
        is known yet; what is noted stands until the partition is dropped, and the age of what is unread grows.
        """

    def took(self, job: str, operation: Operation, seconds: float, *, error: str = "") -> None:
        """Note what an operation on a batch took: a poll that brought records, their processing, a try to write.

        `error` names the kind of failure, where it failed.
        """

    def sent(self, job: str, messages: Mapping[str, int], *, error: str = "") -> None:
        """Count messages by topic that were tried to write; `error` as above."""

    def aborted(self, job: str) -> None:
        """Count a batch of which nothing was written."""

    def fetched(self, job: str, fetched: Fetched) -> None:
        """Note a round of the job's loop: that it goes on, what was assigned and revoked, and the brokers' troubles."""

    def restoring(self, job: str, partitions: int) -> None:
        """Note for how many of its partitions the job still rebuilds its state; until none is left it is not ready."""

    def expired_unread(self, job: str, partition: Partition, records_max: int) -> None:
        """Count records, so many at most, that retention took before the job had read them."""

    def release(self, release_id: ReleaseId, created_ms: int, *, forced: bool) -> None:
        """Name the release that serves from now on, and whether the gate had refused it; the job is ready."""

    def features(self, coverage: FeatureCoverage) -> None:
        """Count which features of the model a batch states."""

    def recall(self, recall: Recall) -> None:
        """Count what an index found of the best offers, over requests that were ranked exactly too."""

    def index_given_up(self, reason: IndexFault | None) -> None:
        """Note why requests are ranked exactly though the release has an index; None: another release serves now."""

    def store_watched(self, state: Callable[[], str], silent_s: Callable[[], float]) -> None:
        """Take functions that return the state of following the store, and how long ago it confirmed the release."""

    def labels(self, tally: LabelTally, answers: Mapping[str, int], open_requests: int) -> None:
        """Count labels, and answers by fate: joined, duplicate, erased, or why they can't count.

        `open_requests` is how many there are now.
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
    """What a topic is; `config` None: the broker does not show it."""

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

    def ends(self, topics: Sequence[str]) -> dict[Partition, int]:
        """Return the offset behind the last record of each partition of those of the topics that exist."""

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
    """What the server under the store of releases is; None: it does not show it. `memory_max_bytes` 0: no limit."""

    version: str
    eviction_policy: str | None
    memory_used_bytes: int | None
    memory_max_bytes: int | None


class StoreAdmin(Protocol):
    """The server under the store of releases, as an operator sees it."""

    def facts(self) -> StoreFacts:
        """Ask the server. Raises TransientError when it does not answer in time."""
