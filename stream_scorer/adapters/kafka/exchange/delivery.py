"""Sends records and reports on each. See Exchange."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from threading import Event, Thread

from confluent_kafka import KafkaError, KafkaException, Message

from stream_scorer.adapters.kafka.client import ClientConfig, fatal_as_such, kafka_error, new_producer
from stream_scorer.adapters.kafka.client_log import ClientLog
from stream_scorer.adapters.kafka.exchange.tail import KafkaTail
from stream_scorer.adapters.kafka.reach import metadata_of
from stream_scorer.adapters.kafka.retries import produce
from stream_scorer.core.forms.topic_forms import TopicForms
from stream_scorer.core.records import OutputRecord
from stream_scorer.errors import NotDelivered, UsageError

_SENDING: dict[str, str | int | float | bool] = {
    "enable.idempotence": True,
    "allow.auto.create.topics": False,
    "delivery.report.only.error": False,  # a sender waits for each of its records
    "linger.ms": 1,
    "compression.type": "lz4",
}
_NO_CONFIG: ClientConfig = {}
_POLL_S = 0.1
_GRACE_S = 5.0  # the client gives a record up by itself, at the time-out


class KafkaExchange:
    """See Exchange. Idempotent, so that a retry inside the client doubles nothing."""

    def __init__(
        self,
        config: ClientConfig,
        topics: Sequence[str],
        *,
        sending: ClientConfig = _NO_CONFIG,
        timeout_s: float,
        forms: TopicForms | None = None,
    ) -> None:
        """Find the topics to write to; `sending` is configuration of the producer alone, `forms` are those of topics.

        A record is given up after `timeout_s`. Raises NotReady when no broker answers, UsageError for a missing topic.
        """
        client_log = ClientLog()
        timeout_ms = max(1, round(timeout_s * 1000))
        self._config, self._timeout_s, self._forms = dict(config), timeout_s, forms
        self._producer = new_producer({**_SENDING, **sending, **config, "message.timeout.ms": timeout_ms}, client_log)
        for topic in topics:
            listed = metadata_of(self._producer, client_log, config, timeout_s=timeout_s, topic=topic).topics[topic]
            if listed.error is not None:
                raise UsageError(f"topic {topic}: {listed.error.str()}; `stream-scorer topics` makes those of the ring")
        self._closed = Event()
        self._fatal: str | None = None
        # reports come only while somebody polls, and a coroutine that awaits one cannot
        self._polling = Thread(target=self._poll, name="kafka-deliveries", daemon=True)
        self._polling.start()

    def _poll(self) -> None:
        while not self._closed.is_set():
            self._let_report(self._producer.poll, _POLL_S)

    def _let_report(self, wait: Callable[[float], int], for_s: float) -> None:
        try:
            with fatal_as_such():
                wait(for_s)
        except KafkaException as error:
            # fatal, and raised once: the polls after it report that each record in the queue has failed
            self._fatal = kafka_error(error).str()

    def _undelivered(self, topic: str, error: KafkaError) -> NotDelivered:
        # of what a fatal error stops, the client says no more than that it failed, or was purged
        return NotDelivered(f"to {topic}: {self._fatal or error.str()}")

    def send(self, record: OutputRecord) -> "Future[None]":
        """See Exchange.send. While the client's queue is full it waits, at most for the time-out."""
        future: Future[None] = Future()
        if self._closed.is_set():
            raise NotDelivered(f"to {record.topic}: the client is closed")
        if self._forms is not None:
            (record,) = self._forms.write([record])

        def report(error: KafkaError | None, message: Message) -> None:
            if not future.set_running_or_notify_cancel():
                return
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(self._undelivered(record.topic, error))

        try:
            produce(self._producer, record, -1, report, for_s=self._timeout_s)
        except BufferError:
            raise NotDelivered(f"to {record.topic}: the queue stayed full for {self._timeout_s:g} s") from None
        except KafkaException as error:  # refused before it is sent, as is a record that is too large
            raise self._undelivered(record.topic, kafka_error(error)) from None
        return future

    def tail(self, topics: Sequence[str]) -> KafkaTail:
        """See Exchange.tail."""
        return KafkaTail(self._config, topics, timeout_s=self._timeout_s, forms=self._forms)

    def failure(self) -> str:
        """See Exchange.failure."""
        return "" if self._fatal is None else f"nothing can be sent any more: {self._fatal}"

    def close(self) -> None:
        """See Exchange.close. Ends, since each record is given up at the time-out."""
        if not self._closed.is_set():
            self._let_report(self._producer.flush, self._timeout_s + _GRACE_S)
            self._closed.set()
            self._polling.join(_GRACE_S)
