"""Events into Kafka, outside any transaction. See RecordFeed."""

from collections import Counter
from collections.abc import Sequence

from confluent_kafka import KafkaError, KafkaException, Message

from stream_scorer.adapters.kafka.client import ClientConfig, fatal_as_such, kafka_error, new_producer, transient
from stream_scorer.adapters.kafka.client_log import ClientLog
from stream_scorer.adapters.kafka.reach import metadata_of
from stream_scorer.adapters.kafka.retries import produce
from stream_scorer.core.forms.topic_forms import TopicForms
from stream_scorer.core.records import OutputRecord
from stream_scorer.errors import UsageError

_FEED: dict[str, str | int | float | bool] = {
    "enable.idempotence": True,
    "linger.ms": 20,
    "queue.buffering.max.messages": 200_000,
    "message.timeout.ms": 60_000,
    "compression.type": "lz4",
}
_FULL_S_MAX = 90.0  # what is in the queue is delivered or given up before that


class KafkaFeed:
    """See RecordFeed.

    Idempotent, so that a retry inside the client doubles nothing; a key goes to the partition that Java would choose.
    """

    def __init__(
        self, config: ClientConfig, topic: str, *, timeout_s: float = 10.0, forms: TopicForms | None = None
    ) -> None:
        """Find the topic. Raises NotReady when no broker answers, UsageError when there is no such topic."""
        client_log = ClientLog(quiet=True)  # failures are counted, and reported once at the end
        self._producer = new_producer({**_FEED, **config, "allow.auto.create.topics": False}, client_log)
        self._failures: Counter[str] = Counter()
        self._forms = forms
        listed = metadata_of(self._producer, client_log, config, timeout_s=timeout_s, topic=topic).topics[topic]
        if listed.error is not None:
            raise UsageError(f"topic {topic}: {listed.error.str()}; `stream-scorer topics` makes those of the ring")

    def send(self, records: Sequence[OutputRecord]) -> None:
        """See RecordFeed.send."""
        for record in records if self._forms is None else self._forms.write(records):
            self._send(record)
        with transient("sending"), fatal_as_such():
            self._producer.poll(0)

    def _send(self, record: OutputRecord) -> None:
        partition = -1 if record.partition is None else record.partition
        try:
            produce(self._producer, record, partition, self._note, for_s=_FULL_S_MAX)
        except BufferError:
            self._failures[f"the client's queue stayed full for {_FULL_S_MAX:g} s"] += 1
        except KafkaException as error:  # refused before it is sent, as is a record that is too large
            self._failures[kafka_error(error).str()] += 1

    def _note(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._failures[error.str()] += 1

    def flush(self) -> None:
        """See RecordFeed.flush. Ends, since each record is given up after a minute."""
        with transient("sending"), fatal_as_such():
            while self._producer.flush(1.0):
                pass

    def failures(self) -> Counter[str]:
        """See RecordFeed.failures."""
        return self._failures
