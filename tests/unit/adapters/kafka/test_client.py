"""What librdkafka refuses, and which errors end a process."""

from collections.abc import Callable
from threading import Event

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from structlog.testing import capture_logs

from stream_scorer.adapters.kafka.bounded import within
from stream_scorer.adapters.kafka.client import explained, fatal_as_such, new_consumer, new_producer, refused, transient
from stream_scorer.adapters.kafka.client_log import ClientLog
from stream_scorer.errors import FatalStreamError, TransientError, UsageError

SASL = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN"}


@pytest.mark.parametrize("make", [new_consumer, new_producer])
@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"linger": 5}, 'No such configuration property: "linger"'),
        ({"linger.ms": "soon"}, "Invalid value"),
        (SASL, "sasl.username and sasl.password must be set"),
    ],
)
def test_librdkafkas_refusal_is_wrong_usage(make: Callable[..., object], config: dict[str, str], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        make({"group.id": "g", **config})


def test_acks_that_exclude_exactly_once_are_refused() -> None:
    with pytest.raises(UsageError, match="`acks` must be set to `all`"):
        new_producer({"transactional.id": "t", "acks": 1})


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (KafkaError.REQUEST_TIMED_OUT, TransientError),
        (KafkaError.NOT_COORDINATOR, TransientError),
        (KafkaError.GROUP_AUTHORIZATION_FAILED, FatalStreamError),
        (KafkaError.FENCED_INSTANCE_ID, FatalStreamError),
        (KafkaError._FATAL, FatalStreamError),
    ],
)
def test_what_cannot_heal_is_not_tried_again(code: int, kind: type[Exception]) -> None:
    with pytest.raises(kind, match="reading offsets: "), transient("reading offsets"):
        raise KafkaException(KafkaError(code))


@pytest.mark.parametrize(
    ("polled", "kind", "reason"),
    [
        (KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED), FatalStreamError, "Group authorization failed"),
        (KafkaError(KafkaError._PARTITION_EOF), TransientError, "Timed out"),
        (None, TransientError, "Timed out"),
    ],
)
def test_a_refusal_explains_the_time_out(polled: KafkaError | None, kind: type[Exception], reason: str) -> None:
    class Polled:
        def error(self) -> KafkaError | None:
            return polled

    for message in (Polled(), None) if polled is None else (Polled(),):
        with pytest.raises(kind, match=reason), transient("reading offsets"):
            raise explained(KafkaException(KafkaError(KafkaError._TIMED_OUT)), message)  # type: ignore[arg-type]


def test_one_partitions_error_is_raised() -> None:
    class Answer:
        topic, partition, error = "rankings", 3, KafkaError(KafkaError.UNSTABLE_OFFSET_COMMIT)

    refused("reading the committed offset", TopicPartition("rankings", 2, 7))
    with pytest.raises(TransientError, match=r"reading the committed offset of rankings\[3\]"):
        refused("reading the committed offset", Answer())  # type: ignore[arg-type]  # theirs takes no error


def test_an_unanswered_call_is_left_behind() -> None:
    answered = Event()

    def wait() -> None:
        answered.wait()

    with pytest.raises(FatalStreamError, match=r"sending offsets: no answer for 0\.01 s"):
        within(0.01, wait, doing="sending offsets")
    answered.set()


def test_what_a_bounded_call_raises_comes_through() -> None:
    def refuse() -> None:
        raise KafkaException(KafkaError(KafkaError.ILLEGAL_GENERATION))

    with pytest.raises(KafkaException):
        within(10, refuse, doing="sending offsets")


def test_repeated_lines_of_the_client_pass_once() -> None:
    client_log = ClientLog()
    with capture_logs() as events:
        for after_ms in (3, 14):
            line = (
                f"[thrd:b:1/bootstrap]: b:1/bootstrap: Connect failed: Connection refused (after {after_ms}ms "
                "in state CONNECT)"
            )
            client_log.log(30, "%s [%s] %s", "FAIL", "rdkafka#producer-1", line)
    assert [(event["event"], event["log_level"]) for event in events] == [("kafka_client", "warning")]
    assert client_log.reason == "b:1/bootstrap: Connect failed: Connection refused (after 14ms in state CONNECT)"


def test_a_fatal_error_hides_behind_no_callback() -> None:
    fatal = KafkaException(KafkaError(KafkaError._FENCED, "fenced", True))
    with pytest.raises(KafkaException, match="fenced"), fatal_as_such():
        raise SystemError("a callback's call returned a result with an exception set") from fatal
    with pytest.raises(SystemError, match="ours"), fatal_as_such():
        raise SystemError("ours")
