"""Topics whose ids change under whoever reads them."""

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

from confluent_kafka import KafkaError, KafkaException

from stream_scorer.adapters.kafka.exchange.remade import TopicIds
from stream_scorer.core.records import TopicShape

SHAPES = {"rankings": TopicShape(2, "id-1"), "dead-letters": TopicShape(2, "id-2")}


class Describing:
    """Gives futures, which the test settles."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Future[Any]]] = []

    def describe_topics(self, topics: Any, *, request_timeout: float) -> dict[str, Future[Any]]:
        self.asked.append({name: Future() for name in SHAPES})
        return self.asked[-1]

    def answer(self, rankings: str, dead_letters: str) -> None:
        for future, topic_id in zip(self.asked[-1].values(), (rankings, dead_letters), strict=True):
            future.set_result(SimpleNamespace(topic_id=topic_id))


def ids(admin: Describing, shapes: dict[str, TopicShape]) -> TopicIds:
    return TopicIds(admin, shapes, timeout_s=1)  # type: ignore[arg-type]


def test_another_id_is_noted() -> None:
    admin = Describing()
    watched = ids(admin, SHAPES)
    assert watched.remade() == []
    admin.answer("id-1", "id-2")
    assert watched.remade() == []
    admin.answer("id-1", "id-3")
    assert watched.remade() == ["dead-letters"]


def test_an_answer_is_not_waited_for() -> None:
    admin = Describing()
    watched = ids(admin, SHAPES)
    assert watched.remade() == watched.remade() == []
    assert len(admin.asked) == 1


def test_topics_that_are_gone_are_awaited() -> None:
    admin = Describing()
    watched = ids(admin, SHAPES)
    watched.remade()
    for future in admin.asked[-1].values():
        future.set_exception(KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART)))
    assert watched.remade() == []
    assert len(admin.asked) == 2


def test_without_ids_nothing_is_asked() -> None:
    admin = Describing()
    assert ids(admin, {"rankings": TopicShape(2)}).remade() == []
    assert admin.asked == []
