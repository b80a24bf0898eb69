"""The metrics that OpenTelemetry's conventions for messaging name, as Prometheus writes such names.

The names are those of https://opentelemetry.io/docs/specs/semconv/messaging/messaging-metrics/. Dots become
underscores, the unit and `_total` stand at the end, and attributes are labels, beside which `ring_job` is ours. A label
that is empty is one that is not there, as Prometheus sees it: an operation without `error_type` has not failed.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from stream_scorer.core.records import Record
from stream_scorer.ports import Operation

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)

_OPERATION = ("ring_job", "messaging_system", "messaging_operation_name", "messaging_consumer_group_name")
_SYSTEM = "kafka"
_TYPES = {"poll": "receive", "send": "send"}


class MessagingMetrics:
    """What clients of Kafka did for a job, and how long its batches took.

    They count what was tried: records that are read again after an abort count again, and so do messages of a
    transaction that was aborted. `stream_scorer_records_*` count what was committed.
    """

    def __init__(self, registry: "CollectorRegistry", *, group: str) -> None:
        """Register."""
        from prometheus_client import Counter as Total
        from prometheus_client import Histogram

        self._group = group
        self._operations = Histogram(
            "messaging_client_operation_duration_seconds",
            "Time of a poll that brought records, or of a try to write a batch, which ends with the commit",
            (*_OPERATION, "messaging_operation_type", "error_type"),
            registry=registry,
            buckets=SECONDS,
        )
        self._processed = Histogram(
            "messaging_process_duration_seconds",
            "Time of computing what is to be written of a batch",
            _OPERATION,
            registry=registry,
            buckets=SECONDS,
        )
        self._consumed = Total(
            "messaging_client_consumed_messages_total",
            "Records handed to the job; what it reads again counts again",
            (*_OPERATION, "messaging_destination_name"),
            registry=registry,
        )
        self._sent = Total(
            "messaging_client_sent_messages_total",
            "Records that the job tried to write, those of aborted batches included",
            (*_OPERATION, "messaging_destination_name", "error_type"),
            registry=registry,
        )

    def took(self, job: str, operation: Operation, seconds: float, error: str) -> None:
        """See Telemetry.took."""
        about = (job, _SYSTEM, operation, self._group)
        if operation == "process":
            self._processed.labels(*about).observe(seconds)
        else:
            self._operations.labels(*about, _TYPES[operation], error).observe(seconds)

    def consumed(self, job: str, records: Sequence[Record]) -> None:
        """Count the records of a fetch."""
        for topic, count in Counter([record.topic for record in records]).items():
            self._consumed.labels(job, _SYSTEM, "poll", self._group, topic).inc(count)

    def sent(self, job: str, messages: Mapping[str, int], error: str) -> None:
        """See Telemetry.sent."""
        for topic, count in messages.items():
            self._sent.labels(job, _SYSTEM, "send", self._group, topic, error).inc(count)
