"""What is kept outside Kafka: releases, the files of the training buffer, and rows that are sorted."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from stream_scorer.core.buffer.buffer_files import Chunk, Sampled
from stream_scorer.core.buffer.compaction import CompactionPlan
from stream_scorer.core.buffer.erasure import Erasures
from stream_scorer.core.buffer.examples import ExampleRow
from stream_scorer.core.messages import ReleaseId
from stream_scorer.core.records import Partition
from stream_scorer.core.releases.change import OfferChange
from stream_scorer.core.releases.release import Release, ReleaseInfo
from stream_scorer.core.towers.model import Model


class ReleaseReader(Protocol):
    """Releases as one sees them who only looks. Every method raises TransientError while the store is away."""

    def current(self) -> ReleaseId | None:
        """Return what the pointer names, None before the first release."""

    def releases(self) -> list[ReleaseInfo]:
        """Return what is stored, newest first; of what cannot be read, why."""

    def load(self, release_id: ReleaseId) -> Release:
        """Read a release with the changes made to it since. Raises ReleaseError for one that is not whole."""

    def model(self, release_id: ReleaseId) -> Model:
        """Read the towers of a release. Raises ReleaseError for one that is not whole."""

    def applied_topic(self, release_id: ReleaseId) -> str:
        """Return the id of the topic that `progress` counts in, "" where none is stated."""


class ReleaseStore(ReleaseReader, Protocol):
    """Releases: towers and offer vectors under one id, and one pointer to the current one.

    Every method raises TransientError while the store is away.
    """

    def write(self, release: Release, model: Model) -> None:
        """Store a release beside the current one; it serves nobody yet. The same release again changes nothing."""

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

    def change(
        self,
        release_id: ReleaseId,
        changes: Sequence[OfferChange],
        *,
        progress: Mapping[int, tuple[int, int]],
        topic_id: str = "",
    ) -> int:
        """Apply offers' changes to the current release, and its progress in the topic of this id.

        `progress`: partition -> (from, to). Of an offer only a later offset of the partition replaces what is stored.
        Returns how many were applied. Raises ReleaseError, and applies nothing, when the pointer names another release,
        when the store is not as far as `from` (it has lost what it knew), or when it counts in another topic.
        """

    def forget_changes(self, release_id: ReleaseId) -> None:
        """Take the release back to what was published, its progress with it, and let followers load it again."""

    def changes(self, release_id: ReleaseId, after: str) -> tuple[list[OfferChange], str]:
        """Return the changes behind the mark `after`, the oldest first and a bounded number at once, and the new mark.

        Raises ReleaseError when the mark is too old to go on from: load the release again.
        """


class TrainingBuffer(Protocol):
    """Examples in files, written in chunks of offsets.

    The files themselves show where to go on, so no row is lost or doubled.
    """

    def positions(self, partitions: Sequence[Partition]) -> Mapping[Partition, int | None]:
        """Return the offset behind the last whole chunk of each partition, None before the first; remove what is torn.

        Only by the member that is assigned these partitions, before it reads. Raises TransientError.
        """

    def ends(self, partitions: Sequence[Partition]) -> Mapping[Partition, int | None]:
        """Return the same as `positions`, for anybody: nothing is touched."""

    def exists(self) -> bool:
        """Return whether a buffer was ever written here: a missing folder would else look like an empty buffer."""

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

        Only by the member that is assigned these partitions. No row is lost or read twice, whoever reads meanwhile and
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


class Sorter(Protocol):
    """Sorts more rows than fit in memory: (key, order, payload)."""

    def add(self, rows: Iterable[tuple[str, int, bytes]]) -> None:
        """Take rows in."""

    def groups(self) -> Iterator[tuple[str, list[bytes]]]:
        """Yield each key once, ascending, with its payloads in ascending order."""

    def close(self) -> None:
        """Throw everything away."""
