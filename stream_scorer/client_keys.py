"""The librdkafka keys that a user may not set: those that delivery depends on, or that have a setting of their own."""

from collections.abc import Iterable

_PROMISES = {
    "isolation.level": "readers must not see what an aborted transaction wrote",
    "enable.auto.commit": "offsets are committed together with the outputs, and nowhere else",
    "enable.auto.offset.store": "offsets are committed together with the outputs, and nowhere else",
    "auto.offset.reset": "a new group must begin with the oldest record, so that nothing is lost",
    "enable.partition.eof": "the workers must learn where a partition ends",
    "enable.idempotence": "what the client sends again must not be written twice",
    "transactional.id": "each worker has its own, made of its group and loop.instance",
    "partitioner": "what is of one customer must lie in one partition, whichever client wrote it",
    "partition.assignment.strategy": "partitions must change hands without stopping the others",
    "heartbeat.interval.ms": "it follows kafka.session_timeout_ms",
    "delivery.report.only.error": "the join must learn where its labels were written",
    "group.id": "each job has its own: rank.group, join.group, refresh.group, buffer.group",
}
_SETTINGS = {
    "bootstrap.servers": "kafka.bootstrap_servers",
    "metadata.broker.list": "kafka.bootstrap_servers",
    "group.protocol": "kafka.group_protocol",
    "session.timeout.ms": "kafka.session_timeout_ms",
    "transaction.timeout.ms": "kafka.transaction_timeout_ms",
    "fetch.wait.max.ms": "kafka.fetch_wait_max_ms",
    "compression.type": "kafka.compression",
    "compression.codec": "kafka.compression",
}


def fault_of_keys(keys: Iterable[str]) -> str | None:
    """Return why the first of these keys that may not be set may not, None where all may."""
    for key in keys:
        if (reason := _PROMISES.get(key)) is not None:
            return f"{key} may not be set, since {reason}"
        if (setting := _SETTINGS.get(key)) is not None:
            return f"{key} has a setting of its own: {setting}"
    return None
