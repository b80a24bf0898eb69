"""What an Iceberg table states about the training buffer in it.

Each commit of a buffer is a snapshot whose summary states, under `stream-scorer.offsets`, the newest chunk of every
partition. The newest snapshot on the way back from the current one that has it tells where to go on: commits of other
tools, such as a compaction's, have none and are passed over, and a table that was rolled back goes on from where it was
rolled back to.

Snapshots expire. So the same commit also writes the table's property `stream-scorer.state`, with the sequence number of
its snapshot. Where every snapshot on the way that is still there is another tool's, and younger than that number, the
property's commit is the one that has expired. The property alone would not do: a rollback leaves it as it is.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

import msgspec
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Snapshot

from stream_scorer.core.buffer.buffer_files import Chunk, Sampled, in_order
from stream_scorer.core.buffer.erasure import Erasures
from stream_scorer.core.records import Partition
from stream_scorer.errors import UsageError

OFFSETS = "stream-scorer.offsets"
TOPICS = "stream-scorer.topics"
STATE = "stream-scorer.state"
ValueT = TypeVar("ValueT")

_Offsets = dict[str, dict[str, tuple[int, int]]]  # topic -> partition -> the newest chunk's [first, next)


class _Noted(msgspec.Struct, forbid_unknown_fields=True):
    version: int = 1
    sequence: int = 0
    offsets: _Offsets = {}
    sampled: dict[str, dict[str, list[Sampled]]] = {}
    topics: dict[str, str] = {}
    erasures: str = ""


_offsets = msgspec.json.Decoder(_Offsets).decode
_noted = msgspec.json.Decoder(_Noted).decode


@dataclass(frozen=True, slots=True)
class TableState:
    """`newest` has the offsets [first, next) of each partition's newest chunk."""

    newest: Mapping[Partition, tuple[int, int]] = field(default_factory=dict)
    sampled: Mapping[Partition, tuple[Sampled, ...]] = field(default_factory=dict)
    topic_ids: Mapping[str, str] = field(default_factory=dict)
    erasures: Erasures = field(default_factory=Erasures)

    def position(self, partition: Partition) -> int | None:
        """Return the offset behind the newest chunk of a partition, None before the first."""
        chunk = self.newest.get(partition)
        return None if chunk is None else chunk[1]

    def with_chunks(self, chunks: Iterable[Chunk]) -> "TableState":
        """Return the state once these chunks are written."""
        newest, sampled = dict(self.newest), dict(self.sampled)
        for chunk in chunks:
            newest[chunk.partition] = chunk.first, chunk.next
            sampled[chunk.partition] = tuple(in_order([*sampled.get(chunk.partition, ()), chunk.sampled]))
        return replace(self, newest=newest, sampled=sampled)

    def summary(self) -> dict[str, str]:
        """Return what the snapshot's summary states."""
        return {
            OFFSETS: msgspec.json.encode(_by_topic(self.newest)).decode(),
            TOPICS: msgspec.json.encode(dict(self.topic_ids)).decode(),
        }

    def properties(self, sequence: int) -> dict[str, str]:
        """Return the table's properties; `sequence` is the number of the snapshot that is committed with them."""
        sampled = _by_topic({each: list(stretches) for each, stretches in self.sampled.items()})
        erasures = self.erasures.to_bytes().decode() if self.erasures.salt else ""
        noted = _Noted(1, sequence, _by_topic(self.newest), sampled, dict(self.topic_ids), erasures)
        return {STATE: msgspec.json.encode(noted).decode()}


def state_of(metadata: TableMetadata) -> TableState:
    """Read what a table states. Raises UsageError where it cannot be read, or no longer says where to go on."""
    try:
        noted = _noted(metadata.properties.get(STATE, "{}"))
        newest = _by_partition(_newest(metadata, noted))
        erasures = Erasures.from_bytes(noted.erasures.encode()) if noted.erasures else Erasures()
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise UsageError(
            f"the table's {STATE} or a snapshot's {OFFSETS} was not written by a buffer of this version: {error}"
        ) from error
    sampled = {
        partition: tuple(_clipped(stretches, newest[partition][1]))
        for partition, stretches in _by_partition(noted.sampled).items()
        if partition in newest
    }
    return TableState(newest, sampled, noted.topics, erasures)


def _newest(metadata: TableMetadata, noted: _Noted) -> _Offsets:
    by_id = {snapshot.snapshot_id: snapshot for snapshot in metadata.snapshots}
    snapshot, oldest = metadata.current_snapshot(), None
    while snapshot is not None:
        if (stated := _stated(snapshot)) is not None:
            return _offsets(stated)
        oldest = snapshot
        snapshot = None if oldest.parent_snapshot_id is None else by_id.get(oldest.parent_snapshot_id)
    if oldest is None or not noted.sequence or _is_first(oldest):
        return {}  # a table that is empty, that no buffer wrote, or that was begun anew
    if noted.sequence < (oldest.sequence_number or 0):
        return noted.offsets
    raise UsageError(
        "the table was rolled back behind snapshots that have expired since, so that it no longer says which labels "
        "are in it: buffer into a new table, and train on both"
    )


def _is_first(snapshot: Snapshot) -> bool:
    """Return whether no snapshot was there before this one, as far as it says itself.

    That its parent is not named is no proof: pyiceberg takes the name away where the parent has expired. So the rows
    that were there before are counted; without any, nothing is lost by beginning anew.
    """
    if snapshot.parent_snapshot_id is not None or snapshot.summary is None or not snapshot.summary.get("total-records"):
        return False
    total, added, deleted = (
        int(snapshot.summary.get(f"{which}-records") or 0) for which in ("total", "added", "deleted")
    )
    return total - added + deleted == 0


def _stated(snapshot: Snapshot) -> str | None:
    return None if snapshot.summary is None else snapshot.summary.get(OFFSETS)


def _clipped(stretches: Iterable[Sampled], end: int) -> Iterable[Sampled]:
    """Yield the stretches before an offset: what was rolled back is not in the table."""
    return (one._replace(next=min(one.next, end)) for one in stretches if one.first < end)


def _by_topic(values: Mapping[Partition, ValueT]) -> dict[str, dict[str, ValueT]]:
    topics: dict[str, dict[str, ValueT]] = {}
    for (topic, number), value in sorted(values.items(), key=lambda item: item[0]):
        topics.setdefault(topic, {})[str(number)] = value
    return topics


def _by_partition(values: Mapping[str, Mapping[str, ValueT]]) -> dict[Partition, ValueT]:
    return {
        Partition(topic, int(number)): value for topic, numbers in values.items() for number, value in numbers.items()
    }
