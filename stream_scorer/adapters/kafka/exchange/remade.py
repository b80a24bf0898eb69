"""Notes that a topic was deleted and made anew under whoever reads it."""

from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any

from confluent_kafka import TopicCollection
from confluent_kafka.admin import AdminClient

from stream_scorer.core.records import TopicShape


class TopicIds:
    """Compares topics' ids with those at the start, without ever waiting for an answer."""

    def __init__(self, admin: AdminClient, shapes: Mapping[str, TopicShape], *, timeout_s: float) -> None:
        """Watch those of the topics that have an id."""
        self._admin, self._timeout_s = admin, timeout_s
        self._ids = {name: shape.topic_id for name, shape in shapes.items() if shape.topic_id}
        self._answers: dict[str, Future[Any]] = {}

    def remade(self) -> list[str]:
        """Return which topics have other ids by the answers to the question before, and ask the next one."""
        if not self._ids or not all(each.done() for each in self._answers.values()):
            return []
        changed = [name for name, answer in self._answers.items() if self._is_another(name, answer)]
        self._answers = self._admin.describe_topics(TopicCollection([*self._ids]), request_timeout=self._timeout_s)
        return changed

    def _is_another(self, name: str, answer: "Future[Any]") -> bool:
        # an error may pass: a topic that is gone has its new id once it is made again
        return answer.exception() is None and str(answer.result().topic_id) != self._ids[name]
