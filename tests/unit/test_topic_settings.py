"""Every topic is described once, where it is named."""

from stream_scorer.schemas import MESSAGES
from stream_scorer.topic_settings import TopicSettings

SPECIAL = {"dead-letter", "offer-tombstone"}


def test_every_name_of_a_topic_is_described() -> None:
    named = [name for name, value in TopicSettings() if isinstance(value, str)]
    assert len(list(TopicSettings().each())) == len(named)


def test_every_topic_carries_a_known_message() -> None:
    assert {topic.message for _, topic in TopicSettings().each()} <= MESSAGES.keys() | SPECIAL


def test_only_the_catalog_is_without_customers() -> None:
    topics = TopicSettings(offers="catalog")
    assert [name for name, topic in topics.each() if not topic.of_customers] == ["catalog"]
