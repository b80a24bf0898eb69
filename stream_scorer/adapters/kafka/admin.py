"""Topics and groups through Kafka's admin API. See TopicAdmin."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import ConfigResource, NewPartitions, NewTopic, OffsetSpec

from stream_scorer.adapters.kafka.client import ClientConfig, kafka_error, new_admin, new_producer
from stream_scorer.adapters.kafka.client_log import ClientLog
from stream_scorer.adapters.kafka.reach import metadata_of
from stream_scorer.adapters.kafka.retries import NO_COORDINATOR_YET, retrying
from stream_scorer.adapters.kafka.topic_shapes import has_controller, partitions_of
from stream_scorer.core.records import Partition, Progress
from stream_scorer.errors import NotReady, UsageError
from stream_scorer.ports import TopicSpec, TopicState

_PROBE_ID = "stream-scorer-doctor"
_SEEN_EVERY_S = 0.05
# The first question to a broker that is making its coordinators may stay without an answer, while the next gets
# its own at once: rather than one long wait there are several short ones.
_NOT_ANSWERED = {*NO_COORDINATOR_YET, KafkaError._TIMED_OUT}
_ANSWER_S_MAX = 5.0
_GRACE_S = 5.0  # the client's own time-out comes first, with a reason


def _has_no_leader_yet(reason: KafkaError) -> bool:
    return reason.code() in {KafkaError.LEADER_NOT_AVAILABLE, KafkaError.NOT_LEADER_FOR_PARTITION}


def _places(metadata: Any, topics: Sequence[str]) -> list[TopicPartition]:
    return [
        TopicPartition(name, number)
        for name in topics
        if name in metadata.topics
        for number in metadata.topics[name].partitions
    ]


class KafkaTopicAdmin:
    """See TopicAdmin. Every wait ends after `timeout_s`."""

    def __init__(self, config: ClientConfig, *, timeout_s: float = 10.0) -> None:
        self._config = dict(config)
        self._timeout_s = timeout_s
        self._log = ClientLog(quiet=True)
        self._client = new_admin(self._config, self._log)

    def brokers(self) -> list[str]:
        """See TopicAdmin."""
        return [f"{broker.host}:{broker.port}" for broker in self._metadata().brokers.values()]

    def describe(self, names: Sequence[str]) -> dict[str, TopicState]:
        """See TopicAdmin. Raises NotReady, too, where the brokers list a topic with an error beside it."""
        tries = retrying(_has_no_leader_yet, for_s=self._timeout_s, wait_s=_SEEN_EVERY_S)
        try:
            return tries(self._describe, names)
        except KafkaException as error:
            raise NotReady(kafka_error(error).str()) from error

    def _describe(self, names: Sequence[str]) -> dict[str, TopicState]:
        metadata = self._metadata()
        existing = [name for name in names if name in metadata.topics]
        configs = self._configs(existing) if has_controller(metadata) else {}
        states = {}
        for name in existing:
            replicas = [len(each.replicas) for each in partitions_of(metadata, name).values()]
            states[name] = TopicState(len(replicas), min(replicas), configs.get(name))
        return states

    def create(self, specs: Sequence[TopicSpec]) -> None:
        """See TopicAdmin.

        A broker without a controller (librdkafka's mock) makes a topic, as it sees fit, when asked about it.
        """
        if not has_controller(self._metadata()):
            producer = new_producer({**self._config, "allow.auto.create.topics": True}, self._log)
            for spec in specs:
                producer.list_topics(spec.name, timeout=self._timeout_s)
        elif specs:
            topics = [
                NewTopic(spec.name, spec.partitions, spec.replication_factor, config=dict(spec.config))
                for spec in specs
            ]
            for name, future in self._client.create_topics(topics, request_timeout=self._timeout_s).items():
                self._created(name, future)
        self._wait_until_seen([spec.name for spec in specs])

    def transactions(self) -> str | None:
        """See TopicAdmin. Tries it: a transaction that is opened and aborted, with nothing in it."""
        probing = {**self._config, "transactional.id": _PROBE_ID, "transaction.timeout.ms": 10_000}
        producer = new_producer(probing, self._log)
        try:
            producer.init_transactions(self._timeout_s)
        except KafkaException as error:
            return str(kafka_error(error).str())
        return None

    def lag(self, group: str, topics: Sequence[str]) -> dict[Partition, int]:
        """See TopicAdmin."""
        metadata = self._metadata()
        if not has_controller(metadata):
            raise NotReady("the broker does not know the positions of groups")
        partitions = _places(metadata, topics)
        if not partitions:
            return {}
        # waits for a coordinator that is ready: while it still loads, the next call may crash librdkafka 2.16
        self.members(group)
        wanted = ConsumerGroupTopicPartitions(group, partitions)
        committed = self._result(
            self._client.list_consumer_group_offsets([wanted], request_timeout=self._timeout_s)[group]
        )
        earliest = self._offsets(partitions, OffsetSpec.earliest())  # type: ignore[no-untyped-call]  # untyped there
        latest = self._offsets(partitions, OffsetSpec.latest())  # type: ignore[no-untyped-call]  # untyped there
        behind = {}
        for each in committed.topic_partitions:
            if each.error is not None:
                raise NotReady(f"reading how far {group} is in {each.topic}[{each.partition}]: {each.error.str()}")
            partition = Partition(each.topic, each.partition)
            behind[partition] = latest[partition] - (each.offset if each.offset >= 0 else earliest[partition])
        return behind

    def ends(self, topics: Sequence[str]) -> dict[Partition, int]:
        """See TopicAdmin."""
        tries = retrying(_has_no_leader_yet, for_s=self._timeout_s, wait_s=_SEEN_EVERY_S)
        try:
            return tries(self._ends, topics)
        except KafkaException as error:
            raise NotReady(f"the brokers did not answer: {kafka_error(error).str()}") from error

    def _ends(self, topics: Sequence[str]) -> dict[Partition, int]:
        if not (partitions := _places(self._metadata(), topics)):
            return {}
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]  # untyped there
        futures = self._client.list_offsets(dict.fromkeys(partitions, latest), request_timeout=self._timeout_s)
        wait_s = self._timeout_s + _GRACE_S
        return {Partition(each.topic, each.partition): future.result(wait_s).offset for each, future in futures.items()}

    def members(self, group: str) -> int:
        """See TopicAdmin."""
        tries = retrying(lambda reason: reason.code() in _NOT_ANSWERED, for_s=self._timeout_s, wait_s=_SEEN_EVERY_S)
        try:
            return tries(self._members, group)
        except KafkaException as error:
            if kafka_error(error).code() == KafkaError.GROUP_ID_NOT_FOUND:
                return 0
            raise NotReady(f"the brokers did not answer: {kafka_error(error).str()}") from error

    def _members(self, group: str) -> int:
        timeout_s = min(self._timeout_s / 2, _ANSWER_S_MAX)
        described = self._client.describe_consumer_groups([group], request_timeout=timeout_s)[group]
        return len(described.result(timeout_s + _GRACE_S).members)

    def grow(self, names: Sequence[str], partitions: int) -> None:
        """See TopicAdmin."""
        counts = {name: len(self._metadata().topics[name].partitions) for name in names}
        if too_many := [name for name, count in counts.items() if count > partitions]:
            raise UsageError(f"{', '.join(too_many)} has more partitions than {partitions}, and topics never shrink")
        wanted = [NewPartitions(name, partitions) for name, count in counts.items() if count < partitions]
        futures = self._client.create_partitions(wanted, request_timeout=self._timeout_s) if wanted else {}
        for name, future in futures.items():
            try:
                future.result(self._timeout_s + _GRACE_S)
            except KafkaException as error:
                raise UsageError(f"growing {name} was refused: {kafka_error(error).str()}") from error
        self._wait_until(
            lambda: [name for name in names if len(self._metadata().topics[name].partitions) < partitions],
            "topics have grown, which was not seen",
        )

    def set_positions(self, group: str, positions: Progress) -> None:
        """See TopicAdmin. The broker itself refuses where there are members."""
        if count := self.members(group):
            raise UsageError(f"group {group} has {count} members: its positions cannot be set")
        places = [TopicPartition(*place, position.offset, position.metadata) for place, position in positions.items()]
        wanted = [ConsumerGroupTopicPartitions(group, places)]
        futures = self._client.alter_consumer_group_offsets(wanted, request_timeout=self._timeout_s)
        for place in self._result(futures[group]).topic_partitions:
            if place.error is not None:
                raise UsageError(f"setting the positions of group {group} was refused: {place.error.str()}")

    def _metadata(self) -> Any:
        return metadata_of(self._client, self._log, self._config, timeout_s=self._timeout_s)

    def _configs(self, names: Sequence[str]) -> dict[str, dict[str, str]]:
        if not names:
            return {}
        resources = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in names]
        futures = self._client.describe_configs(resources, request_timeout=self._timeout_s)
        return {
            resource.name: {key: entry.value for key, entry in self._result(future).items()}
            for resource, future in futures.items()
        }

    def _offsets(self, partitions: Sequence[TopicPartition], spec: OffsetSpec) -> dict[Partition, int]:
        futures = self._client.list_offsets(dict.fromkeys(partitions, spec), request_timeout=self._timeout_s)
        return {Partition(each.topic, each.partition): self._result(future).offset for each, future in futures.items()}

    def _created(self, name: str, future: "Future[None]") -> None:
        try:
            future.result(self._timeout_s + _GRACE_S)
        except KafkaException as error:
            if kafka_error(error).code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise UsageError(f"topic {name} was refused: {kafka_error(error).str()}") from error

    def _result(self, future: Any) -> Any:
        try:
            return future.result(self._timeout_s + _GRACE_S)
        except KafkaException as error:
            raise NotReady(f"the brokers did not answer: {kafka_error(error).str()}") from error

    def _wait_until_seen(self, names: Sequence[str]) -> None:
        self._wait_until(
            lambda: sorted(set(names) - self._metadata().topics.keys()), "topics are created, which was not seen"
        )

    def _wait_until(self, missing: Callable[[], Sequence[str]], what: str) -> None:
        deadline_s = time.monotonic() + self._timeout_s
        while left := missing():
            if time.monotonic() > deadline_s:
                raise NotReady(f"{what} within {self._timeout_s:g} s: {', '.join(left)}")
            time.sleep(_SEEN_EVERY_S)
