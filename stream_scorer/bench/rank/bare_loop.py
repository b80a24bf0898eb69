"""The least that a consume-produce loop costs with this Kafka client: no job on these topics can cost less."""

import time
from collections.abc import Callable, Sequence

from confluent_kafka import Consumer, Message, Producer, TopicPartition

from stream_scorer.adapters.kafka.client import ClientConfig, new_consumer, new_producer

_TIMEOUT_S = 20.0
_POLL_S = 0.2


class BareLoop:
    """Answers each record with the next of `values`, under the same key, batch by batch."""

    def __init__(
        self,
        consumer: ClientConfig,
        producer: ClientConfig,
        *,
        sources: list[str],
        target: str,
        values: Sequence[bytes],
    ) -> None:
        """Join the group; the loop uses transactions where the producer's settings have a transactional.id."""
        self._producer: Producer = new_producer(producer)
        self._transactional = "transactional.id" in producer
        if self._transactional:
            self._producer.init_transactions(_TIMEOUT_S)
        self._consumer: Consumer = new_consumer(consumer)
        self._consumer.subscribe(sources)
        self._target, self._values, self._place = target, values, 0

    def run(self, *, batch_max: int, stopping: Callable[[], bool], until_idle_s: float | None) -> None:
        """Loop until `stopping` or, after the first record, until nothing has come for `until_idle_s`."""
        quiet_since_s: float | None = None
        while not stopping():
            first = self._consumer.poll(_POLL_S)
            messages = [] if first is None else [first, *self._consumer.consume(batch_max - 1, 0)]
            if good := [message for message in messages if message.error() is None]:
                self._answer(good)
                quiet_since_s = time.monotonic()
            if (
                until_idle_s is not None
                and quiet_since_s is not None
                and time.monotonic() - quiet_since_s > until_idle_s
            ):
                break
        self._consumer.close()

    def _answer(self, messages: Sequence[Message]) -> None:
        offsets = {(message.topic(), message.partition()): message.offset() for message in messages}
        places = [TopicPartition(topic, partition, offset + 1) for (topic, partition), offset in offsets.items()]  # type: ignore[arg-type, operator]
        if self._transactional:
            self._producer.begin_transaction()
        self._produce(messages)
        if self._transactional:
            self._producer.send_offsets_to_transaction(places, self._consumer.consumer_group_metadata(), _TIMEOUT_S)
            self._producer.commit_transaction(-1)
        else:
            self._producer.flush(_TIMEOUT_S)
            self._consumer.commit(offsets=places, asynchronous=False)

    def _produce(self, messages: Sequence[Message]) -> None:
        produce, target, values, count = self._producer.produce, self._target, self._values, len(self._values)
        for place, message in enumerate(messages, self._place):
            produce(target, values[place % count], message.key())
        self._place = (self._place + len(messages)) % count
