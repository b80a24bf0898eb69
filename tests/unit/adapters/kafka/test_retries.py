"""Which calls are tried again, and for how long."""

import pytest
from confluent_kafka import KafkaError, KafkaException

from stream_scorer.adapters.kafka.retries import NO_COORDINATOR_YET, produce, retrying, until_coordinated
from stream_scorer.core.records import OutputRecord


class Call:
    """Fails with these errors, one after the other, then returns."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors, self.polled = list(errors), 0

    def __call__(self, *args: object, **options: object) -> str:
        if self.errors:
            raise self.errors.pop(0)
        return "done"

    produce = __call__

    def poll(self, seconds: float) -> int:
        self.polled += 1
        return 0


def failure(code: int) -> KafkaException:
    return KafkaException(KafkaError(code))


def is_timeout(reason: KafkaError) -> bool:
    return reason.code() == KafkaError._TIMED_OUT


@pytest.mark.parametrize("code", sorted(NO_COORDINATOR_YET))
def test_a_groups_coordinator_is_awaited(code: int) -> None:
    call = Call(failure(code), failure(code))
    assert until_coordinated(for_s=60)(call) == "done"


def test_other_refusals_of_groups_end_waiting() -> None:
    call = Call(failure(KafkaError.GROUP_AUTHORIZATION_FAILED))
    with pytest.raises(KafkaException):
        until_coordinated(for_s=60)(call)


def test_what_may_pass_is_repeated() -> None:
    call = Call(failure(KafkaError._TIMED_OUT), failure(KafkaError._TIMED_OUT))
    assert retrying(is_timeout, for_s=60)(call) == "done"


def test_what_cannot_pass_is_raised_at_once() -> None:
    call = Call(failure(KafkaError._AUTHENTICATION), failure(KafkaError._TIMED_OUT))
    with pytest.raises(KafkaException, match="_AUTHENTICATION"):
        retrying(is_timeout, for_s=60)(call)
    assert len(call.errors) == 1


def test_no_time_is_one_try() -> None:
    call = Call(failure(KafkaError._TIMED_OUT), failure(KafkaError._TIMED_OUT))
    with pytest.raises(KafkaException, match="_TIMED_OUT"):
        retrying(is_timeout, for_s=0)(call)
    assert len(call.errors) == 1


def test_a_full_queue_is_polled() -> None:
    client = Call(BufferError(), BufferError())
    produce(client, OutputRecord("t", b"k", b"v"), 0, lambda error, message: None, for_s=60)  # type: ignore[arg-type]
    assert (client.errors, client.polled) == ([], 1)


def test_a_lastingly_full_queue_is_an_error() -> None:
    client = Call(BufferError(), BufferError(), BufferError())
    with pytest.raises(BufferError):
        produce(client, OutputRecord("t", b"k", b"v"), 0, lambda error, message: None, for_s=0)  # type: ignore[arg-type]
