"""Waiting for brokers at a start: with the client's own reason at once, bounded, and ended by a request to stop."""

import re
import time
from collections.abc import Callable
from typing import Any

import structlog
from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from stream_scorer.adapters.kafka.client import ClientConfig, new_admin
from stream_scorer.adapters.kafka.client_log import ClientLog
from stream_scorer.adapters.kafka.retries import retrying
from stream_scorer.errors import NotReady, Stopped

log = structlog.get_logger(__name__)

SLICE_S = 0.5
HOPELESS_AFTER_S = 3.0
# credentials and certificates do not mend themselves
_hopeless = re.compile(r"SASL|SSL|certificate|security\.protocol").search
_CLOSED = "connection closed by peer"
_HINT = "; the listener may want SASL or TLS: see security.protocol in kafka.client"


def wait_for_brokers(config: ClientConfig, *, timeout_s: float, stopping: Callable[[], bool]) -> None:
    """Return once a broker answers; why none does is logged at once.

    Raises NotReady with the client's reason: after `timeout_s`, or after `HOPELESS_AFTER_S` where waiting cannot help.
    Raises Stopped when asked to stop before.
    """
    client_log = ClientLog(quiet=True)
    metadata_of(new_admin(config, client_log), client_log, config, timeout_s=timeout_s, stopping=stopping, logs=True)


def metadata_of(
    client: AdminClient | Producer,
    client_log: ClientLog,
    config: ClientConfig,
    *,
    timeout_s: float,
    topic: str | None = None,
    stopping: Callable[[], bool] = lambda: False,
    logs: bool = False,
) -> Any:
    """Return what the brokers state about all topics, or about `topic`.

    Raises as `wait_for_brokers` does. With `logs` the first reason for waiting is logged as well.
    """
    servers, started_s = config["bootstrap.servers"], time.monotonic()
    slice_s, reported = min(SLICE_S, timeout_s), not logs

    def asked() -> Any:
        nonlocal reported
        try:
            return client.list_topics(topic, timeout=slice_s) if topic else client.list_topics(timeout=slice_s)
        except KafkaException:
            client.poll(0)  # lets out the client's lines, which hold the reason
            if (reason := _why(client_log)) and not reported:
                log.warning("brokers_awaited", servers=servers, reason=reason, at_most_s=timeout_s)
                reported = True
            raise

    def worth_waiting(_: KafkaError) -> bool:
        waited_s = time.monotonic() - started_s
        return not stopping() and not (waited_s > HOPELESS_AFTER_S and _hopeless(_why(client_log) or ""))

    try:
        return retrying(worth_waiting, for_s=timeout_s)(asked)
    except KafkaException:
        if stopping():
            raise Stopped("stopped before a Kafka broker answered") from None
        waited_s, reason = time.monotonic() - started_s, _why(client_log) or "no answer"
        raise NotReady(f"no Kafka broker answers at {servers} within {waited_s:.1f} s: {reason}") from None


def _why(client_log: ClientLog) -> str | None:
    """Return why the client reached no broker, with what may be meant."""
    reason = client_log.reason
    return reason + _HINT if reason and _CLOSED in reason and not _hopeless(reason) else reason
