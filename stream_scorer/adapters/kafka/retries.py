"""Calls into the client that are tried again, with a bound, where their failure may pass."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer
from tenacity import Retrying, retry_if_exception, retry_if_exception_type, stop_after_delay, wait_fixed

from stream_scorer.adapters.kafka.client import Report, kafka_error
from stream_scorer.core.records import OutputRecord

_FULL_WAIT_S = 0.05
_COORDINATOR_WAIT_S = 0.05
# what brokers answer about a group while they make its coordinator, or move it to another broker
NO_COORDINATOR_YET = frozenset(
    (KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_NOT_AVAILABLE, KafkaError.COORDINATOR_LOAD_IN_PROGRESS)
)


def retrying(
    passes: Callable[[KafkaError], bool],
    *,
    for_s: float,
    wait_s: float = 0.0,
    sleep: Callable[[float], None] = time.sleep,
) -> Retrying:
    """Return what repeats a call while its KafkaException `passes`, for at most `for_s`, and raises the last one."""

    def may_pass(error: BaseException) -> bool:
        return isinstance(error, KafkaException) and passes(kafka_error(error))

    return Retrying(
        retry=retry_if_exception(may_pass),
        stop=stop_after_delay(for_s),
        wait=wait_fixed(wait_s),
        sleep=sleep,
        reraise=True,
    )


def until_coordinated(*, for_s: float) -> Retrying:
    """Return what repeats a question about a group while the group has no coordinator, for at most `for_s`."""
    return retrying(lambda reason: reason.code() in NO_COORDINATOR_YET, for_s=for_s, wait_s=_COORDINATOR_WAIT_S)


def polling(producer: Producer) -> Callable[[float], None]:
    """Return a way to wait in which the client delivers its reports and log lines."""

    def poll(seconds: float) -> None:
        producer.poll(seconds)

    return poll


def produce(producer: Producer, output: OutputRecord, partition: int, report: Report | None, *, for_s: float) -> None:
    """Hand a record to the client; while its queue is full, take reports of deliveries, which make room.

    Raises BufferError when the queue stays full for `for_s`, KafkaException for a record that is refused at once.
    """
    given = (output.topic, output.value, output.key, partition, report)
    # Arguments by keyword, even None, cost a fifth of the call: only dead letters have headers.
    headers: dict[str, Any] = {"headers": list(output.headers)} if output.headers else {}
    try:
        producer.produce(*given, **headers)  # nearly always enough, and a retrier costs more than the call
    except BufferError:
        hand_over = partial(producer.produce, *given, **headers)
        Retrying(
            retry=retry_if_exception_type(BufferError),
            stop=stop_after_delay(for_s),
            wait=wait_fixed(_FULL_WAIT_S),
            sleep=polling(producer),
            reraise=True,
        )(hand_over)
