"""What tests on real servers share. A module that sets its ring up further has a fixture of the same name upon it."""

from collections.abc import Iterator

import pytest
import redis

from stream_scorer.adapters.redis.client import RedisClient, connect
from stream_scorer.topic_settings import TopicSettings
from tests.ring import Ring


@pytest.fixture
def ring(kafka: str, redis_url: str, topics: TopicSettings) -> Iterator[Ring]:
    """A ring of the test's own; what it still runs at the end is killed."""
    one = Ring(kafka, redis_url, topics)
    yield one
    one.stop()


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    """A plain client, to look into the store and to damage it."""
    client = redis.Redis.from_url(redis_url)
    yield client
    client.close()


@pytest.fixture
def connection(redis_url: str) -> Iterator[RedisClient]:
    """A connection as ours are, patient with a busy machine."""
    connection = connect(redis_url, timeout_s=20.0)
    yield connection
    connection.close()
