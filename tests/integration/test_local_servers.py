"""The local servers start, hold what they should, and stop and go on as they are asked."""

from pathlib import Path

import pytest
import redis
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from stream_scorer.adapters.local.local_server import LocalServer
from stream_scorer.adapters.local.valkey import LocalValkey
from stream_scorer.errors import NotReady
from stream_scorer.topic_settings import TopicSettings


def test_topics_exist_with_their_partitions(kafka: str, topics: TopicSettings) -> None:
    found = AdminClient({"bootstrap.servers": kafka}).list_topics(timeout=30).topics
    assert {len(found[name].partitions) for name in (topics.requests, topics.rankings, topics.labels)} == {
        topics.partitions
    }


def test_rankings_carry_the_brokers_time(kafka: str, topics: TopicSettings) -> None:
    resource = ConfigResource(ResourceType.TOPIC, topics.rankings)
    client = AdminClient({"bootstrap.servers": kafka})
    configs = client.describe_configs([resource])[resource].result(timeout=30)
    assert configs["message.timestamp.type"].value == "LogAppendTime"


def test_a_resumed_valkey_is_empty() -> None:
    with LocalValkey() as server:
        redis.Redis.from_url(server.url).set("key", "value")
        url = server.url
        server.halt()
        server.resume()
        assert server.url == url
        assert redis.Redis.from_url(url).get("key") is None


def test_a_paused_valkey_keeps_what_it_holds() -> None:
    with LocalValkey() as server:
        client = redis.Redis.from_url(server.url, socket_timeout=20)
        client.set("key", "value")
        server.pause()
        server.unpause()
        assert client.get("key") == b"value"


class Failing(LocalServer):
    """Ends at once with a line in its log, and counts its starts."""

    def __init__(self, line: str) -> None:
        super().__init__("failing", start_s=30)
        self.line, self.folders = line, list[Path]()

    def _command(self, folder: Path) -> list[str]:
        self.folders.append(folder)
        return ["sh", "-c", f"echo '{self.line}'; exit 1"]

    def _answers(self) -> bool:
        return False


@pytest.mark.parametrize(("line", "starts"), [("Address already in use", 3), ("no such option", 1)])
def test_only_a_taken_port_is_tried_again(line: str, starts: int) -> None:
    server = Failing(line)
    with pytest.raises(NotReady, match=f"failing does not answer on port .*: {line}"):
        server.start()
    assert len(set(server.folders)) == starts
    assert not any(folder.exists() for folder in server.folders)
