"""Writing outputs together with progress: in one transaction, or outputs first."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import Protocol

from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition, murmur2

from stream_scorer.adapters.kafka.bounded import within
from stream_scorer.adapters.kafka.client import (
    NEVER_HEALS,
    ClientConfig,
    Report,
    fatal_as_such,
    kafka_error,
    new_producer,
)
from stream_scorer.adapters.kafka.reach import SLICE_S
from stream_scorer.adapters.kafka.retries import polling, produce, retrying
from stream_scorer.adapters.kafka.source import KafkaSource
from stream_scorer.core.forms.topic_forms import TopicForms
from stream_scorer.core.records import OutputRecord, Partition, Progress
from stream_scorer.errors import BatchAborted, FatalStreamError, NotReady, Stopped, TransientError

_PURGED = {KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT}  # by our own abort
_MEMBERSHIP_LOST = {KafkaError.UNKNOWN_MEMBER_ID, KafkaError.ILLEGAL_GENERATION}
_START_GRACE_S = 30.0  # on top of the time that a predecessor's transaction may take to end
_ANSWER_GRACE_S = 5.0  # the client's own time-out comes first, where it keeps to it
_NO_COUNTS: Mapping[str, int] = MappingProxyType({})
_ANY = -1  # leaves the choice to the client's partitioner


class HasGroup(Protocol):
    """Whose progress a transaction can carry."""

    def group_metadata(self) -> object:
        """Return what a transactional producer needs to commit offsets for the group."""


class _Outputs:
    """Queues records in a producer; with `note_ends` it remembers how far each partition is known to be written."""

    def __init__(
        self,
        config: ClientConfig,
        *,
        timeout_s: float,
        note_ends: bool,
        counts: Mapping[str, int] = _NO_COUNTS,
        forms: TopicForms | None = None,
    ) -> None:
        # success reports cost half a microsecond a record: only where their offsets are needed
        self.producer = new_producer({**config, "delivery.report.only.error": not note_ends}, report=self._note_failure)
        self._timeout_s, self._note_ends, self._counts, self._forms = timeout_s, note_ends, counts, forms
        self._failed: list[tuple[str, KafkaError]] = []
        self.ends: dict[Partition, int] = {}

    def formed(self, outputs: Sequence[OutputRecord]) -> Sequence[OutputRecord]:
        """Return the outputs in the forms of their topics: before a transaction begins, for it may take a while."""
        return outputs if self._forms is None else self._forms.write(outputs)

    def queue(self, outputs: Sequence[OutputRecord]) -> None:
        """Hand all records to the client. Raises BatchAborted when its queue stays full."""
        self._failed = []
        last = (
            {(output.topic, output.partition): place for place, output in enumerate(outputs)} if self._note_ends else {}
        )
        noted = set(last.values())
        for place, output in enumerate(outputs):
            self._queue(output, self._note if place in noted else None)

    def _queue(self, output: OutputRecord, on_delivery: Report | None) -> None:
        try:
            produce(self.producer, output, self._partition(output), on_delivery, for_s=self._timeout_s)
        except BufferError:
            raise BatchAborted(f"the client's queue stayed full for {self._timeout_s} s") from None
        except KafkaException as error:  # refused before it is sent, as is a record that is too large
            raise FatalStreamError(_refusal(output.topic, kafka_error(error))) from error

    def _partition(self, output: OutputRecord) -> int:
        if output.partition is not None:
            return output.partition
        # the client learns of the growth of each topic at another moment; placed by the same count, the records of a
        # customer stay together
        count = self._counts.get(output.topic)
        return _ANY if count is None or output.key is None else murmur2(output.key, count)

    def _note(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._note_failure(error, message)
            return
        partition = Partition(message.topic() or "", message.partition() or 0)
        self.ends[partition] = max(self.ends.get(partition, 0), (message.offset() or 0) + 1)

    def _note_failure(self, error: KafkaError | None, message: Message) -> None:
        if error is not None and error.code() not in _PURGED:
            self._failed.append((message.topic() or "", error))

    def close(self) -> None:
        """Wait for what is queued. A fatal error has ended the last writing already, or nothing was to be written."""
        with suppress(KafkaException), fatal_as_such():
            self.producer.flush(self._timeout_s)

    def failed(self) -> str | None:
        """Return the first failure since `queue`."""
        return _refusal(*self._failed[0]) if self._failed else None

    def cannot_heal(self) -> bool:
        """Return whether a failure since `queue` would meet every other try as well."""
        return any(error.code() in NEVER_HEALS for _, error in self._failed)


def _refusal(topic: str, error: KafkaError) -> str:
    return f"writing to {topic}: {error.str()}"


class TransactionalSink:
    """See RecordSink: exactly once, under Kafka's first transaction protocol.

    librdkafka does not speak KIP-890: after an outcome that is unknown, FatalStreamError ends the process, and the
    `init_transactions` of its successor, which has the same `transactional.id`, settles what was open.
    """

    def __init__(
        self,
        config: ClientConfig,
        *,
        timeout_s: float,
        note_ends: bool = False,
        counts: Mapping[str, int] = _NO_COUNTS,
        forms: TopicForms | None = None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        """Fence a predecessor of the same transactional.id and end its open transaction. Raises NotReady, Stopped.

        `counts` fixes the partition count by which records of a topic are placed, whatever it grows to. Outputs are
        given as JSON, and written in the `forms` of their topics.
        """
        self._timeout_s = timeout_s
        self._outputs = _Outputs(config, timeout_s=timeout_s, note_ends=note_ends, counts=counts, forms=forms)
        self._producer = self._outputs.producer
        self._retried = retrying(KafkaError.retriable, for_s=timeout_s)
        self._init(stopping)

    def _init(self, stopping: Callable[[], bool]) -> None:
        # in short slices, each of which goes on where the last one stopped: only between them is a signal noticed
        tries = retrying(
            lambda reason: reason.retriable() and not stopping(),
            for_s=self._timeout_s + _START_GRACE_S,
            sleep=polling(self._producer),
        )
        try:
            tries(self._producer.init_transactions, SLICE_S)
        except KafkaException as error:
            if stopping():
                raise Stopped("stopped before the brokers let a transactional producer start") from None
            msg = f"the brokers did not let a transactional producer start: {kafka_error(error).str()}"
            raise NotReady(msg) from error

    def write(self, outputs: Sequence[OutputRecord], progress: Progress, source: HasGroup) -> None:
        """See RecordSink.write."""
        outputs = self._outputs.formed(outputs)
        offsets = [
            TopicPartition(*partition, position.offset, position.metadata) for partition, position in progress.items()
        ]
        try:
            with fatal_as_such():
                self._producer.begin_transaction()
                self._outputs.queue(outputs)
                self._send_offsets(offsets, source)
                # -1: what is left of the transaction's own time; other values may leave the client out of step with the
                # broker
                self._retried(self._producer.commit_transaction, -1)
        except KafkaException as error:
            self._give_up(kafka_error(error), outputs)
        except BatchAborted:
            self._abort()
            raise

    def _send_offsets(self, offsets: list[TopicPartition], source: HasGroup) -> None:
        def send() -> None:
            self._producer.send_offsets_to_transaction(offsets, source.group_metadata(), self._timeout_s)

        # librdkafka does not keep to the time-out of this call
        within(self._timeout_s + _ANSWER_GRACE_S, lambda: self._retried(send), doing="sending offsets")

    def _give_up(self, reason: KafkaError, outputs: Sequence[OutputRecord]) -> None:
        # the broker does not say which of the topics it refuses
        topics = ", ".join(sorted({output.topic for output in outputs}))
        msg = f"the transaction that writes to {topics or 'no topic'} failed: {reason.str()}"
        # librdkafka marks a fencing seen by AddOffsetsToTxn as one that an abort mends
        if reason.fatal() or reason.code() == KafkaError._FENCED or not reason.txn_requires_abort():
            raise FatalStreamError(msg)
        self._abort()
        if reason.code() in NEVER_HEALS or self._outputs.cannot_heal():
            raise FatalStreamError(self._outputs.failed() or msg)
        raise BatchAborted(self._outputs.failed() or msg, reason.code() in _MEMBERSHIP_LOST)

    def _abort(self) -> None:
        try:
            with fatal_as_such():
                self._retried(self._producer.abort_transaction, self._timeout_s)
        except KafkaException as error:
            msg = f"the transaction could not be aborted: {kafka_error(error).str()}"
            raise FatalStreamError(msg) from error

    def end_offsets(self) -> dict[Partition, int]:
        """See RecordSink.end_offsets."""
        return self._outputs.ends

    def close(self) -> None:
        """See RecordSink.close."""
        self._outputs.close()


class AtLeastOnceSink:
    """See RecordSink: outputs are flushed before progress is committed, so a crash between repeats them."""

    def __init__(
        self,
        config: ClientConfig,
        *,
        timeout_s: float,
        note_ends: bool = False,
        counts: Mapping[str, int] = _NO_COUNTS,
        forms: TopicForms | None = None,
    ) -> None:
        """Make an idempotent producer; `counts` and `forms` as in TransactionalSink."""
        self._timeout_s = timeout_s
        config = {**config, "enable.idempotence": True}
        self._outputs = _Outputs(config, timeout_s=timeout_s, note_ends=note_ends, counts=counts, forms=forms)
        self._producer = self._outputs.producer

    def write(self, outputs: Sequence[OutputRecord], progress: Progress, source: KafkaSource) -> None:
        """See RecordSink.write."""
        outputs = self._outputs.formed(outputs)
        try:
            with fatal_as_such():
                self._outputs.queue(outputs)
                left = self._producer.flush(self._timeout_s)
        except KafkaException as error:
            msg = f"writing: {kafka_error(error).str()}"
            raise FatalStreamError(msg) from error
        if left or self._outputs.failed():
            msg = (
                f"{left} of {len(outputs)} outputs were not written in {self._timeout_s} s; "
                f"{self._outputs.failed() or 'no answer'}"
            )
            raise FatalStreamError(msg)
        try:
            source.commit(progress)
        except TransientError as error:
            # another member has these partitions now and reads them again, or we do
            raise BatchAborted(str(error), True) from error

    def end_offsets(self) -> dict[Partition, int]:
        """See RecordSink.end_offsets."""
        return self._outputs.ends

    def close(self) -> None:
        """See RecordSink.close."""
        self._outputs.close()
