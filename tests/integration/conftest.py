"""A ring on the servers that tests share; a module that sets it up further has a fixture of the same name upon it."""

from collections.abc import Iterator

import pytest

from stream_scorer.topic_settings import TopicSettings
from tests.ring import Ring


@pytest.fixture
def ring(kafka: str, redis_url: str, topics: TopicSettings) -> Iterator[Ring]:
    """A ring of the test's own; what it still runs at the end is killed."""
    one = Ring(kafka, redis_url, topics)
    yield one
    one.stop()
