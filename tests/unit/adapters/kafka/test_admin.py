"""Questions to the cluster that are asked again."""

from collections.abc import Sequence
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from stream_scorer.adapters.kafka.admin import KafkaTopicAdmin
from stream_scorer.errors import NotReady


class Answers:
    """A client that answers questions about groups one after the other: with a count of members, or an error."""

    def __init__(self, *answers: int) -> None:
        self.answers = list(answers)
        self.waited_s: list[float] = []

    def describe_consumer_groups(self, groups: Sequence[str], *, request_timeout: float) -> dict[str, Future[Any]]:
        self.waited_s.append(request_timeout)
        answer, future = self.answers.pop(0), Future[Any]()
        if answer < 0:
            future.set_exception(KafkaException(KafkaError(answer)))
        else:
            future.set_result(SimpleNamespace(members=["member"] * answer))
        return {groups[0]: future}


def members(client: Answers) -> int:
    admin = KafkaTopicAdmin({"bootstrap.servers": "127.0.0.1:1"}, timeout_s=60)
    admin._client = client  # type: ignore[assignment]
    return admin.members("g")


def test_an_unanswered_question_is_asked_again() -> None:
    client = Answers(KafkaError._TIMED_OUT, 3)
    assert members(client) == 3
    assert client.waited_s == [5.0, 5.0]


def test_other_errors_end_the_asking() -> None:
    with pytest.raises(NotReady, match="the brokers did not answer"):
        members(Answers(KafkaError._TRANSPORT, 3))
