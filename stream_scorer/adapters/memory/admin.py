"""Topics and the server of a store as an operator sees them, in memory, as a test sets them up."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from stream_scorer.core.records import Partition, Position, Progress
from stream_scorer.errors import NotReady, TransientError, UsageError
from stream_scorer.ports import StoreFacts, TopicSpec, TopicState


class MemoryTopicAdmin:
    """See TopicAdmin. With `away` set every call fails; `refusal` is why transactions are not possible."""

    def __init__(self, topics: Mapping[str, TopicState] | None = None) -> None:
        self.topics = dict(topics or {})
        self.away = False
        self.refusal: str | None = None
        self.behind: dict[str, dict[Partition, int]] = {}
        self.end_offsets: dict[Partition, int] = {}
        self.member_counts: dict[str, int] = {}
        self.positions: dict[str, dict[Partition, Position]] = {}

    def brokers(self) -> list[str]:
        """See TopicAdmin."""
        self._reach()
        return ["memory:9092"]

    def describe(self, names: Sequence[str]) -> dict[str, TopicState]:
        """See TopicAdmin."""
        self._reach()
        return {name: self.topics[name] for name in names if name in self.topics}

    def create(self, specs: Sequence[TopicSpec]) -> None:
        """See TopicAdmin."""
        self._reach()
        for spec in specs:
            self.topics.setdefault(spec.name, TopicState(spec.partitions, spec.replication_factor, dict(spec.config)))

    def transactions(self) -> str | None:
        """See TopicAdmin."""
        self._reach()
        return self.refusal

    def lag(self, group: str, topics: Sequence[str]) -> dict[Partition, int]:
        """See TopicAdmin."""
        self._reach()
        return {
            partition: count for partition, count in self.behind.get(group, {}).items() if partition.topic in topics
        }

    def ends(self, topics: Sequence[str]) -> dict[Partition, int]:
        """See TopicAdmin."""
        self._reach()
        return {
            Partition(name, number): self.end_offsets.get(Partition(name, number), 0)
            for name in topics
            if name in self.topics
            for number in range(self.topics[name].partitions)
        }

    def members(self, group: str) -> int:
        """See TopicAdmin."""
        self._reach()
        return self.member_counts.get(group, 0)

    def grow(self, names: Sequence[str], partitions: int) -> None:
        """See TopicAdmin."""
        self._reach()
        if too_many := [name for name in names if self.topics[name].partitions > partitions]:
            raise UsageError(f"{', '.join(too_many)} has more partitions than {partitions}, and topics never shrink")
        for name in names:
            self.topics[name] = replace(self.topics[name], partitions=partitions)

    def set_positions(self, group: str, positions: Progress) -> None:
        """See TopicAdmin."""
        if count := self.members(group):
            raise UsageError(f"group {group} has {count} members: its positions cannot be set")
        self.positions.setdefault(group, {}).update(positions)

    def _reach(self) -> None:
        if self.away:
            raise NotReady("no Kafka broker answers")


class MemoryStoreAdmin:
    """See StoreAdmin."""

    def __init__(self, facts: StoreFacts | None) -> None:
        self._facts = facts

    def facts(self) -> StoreFacts:
        """See StoreAdmin; without facts the server is away."""
        if self._facts is None:
            raise TransientError("redis: connection refused")
        return self._facts
