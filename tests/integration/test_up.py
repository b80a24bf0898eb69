"""`stream-scorer up` starts what it says and leaves nothing behind."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
import redis
from confluent_kafka.admin import AdminClient

from stream_scorer.adapters.local.free_port import listening
from tests.commands import run

Up = tuple["subprocess.Popen[str]", dict[str, str]]


@pytest.fixture
def up() -> Iterator[Up]:
    command = [sys.executable, "-m", "stream_scorer", "up", "--json", "--partitions", "3"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    yield process, json.loads(process.stdout.readline())
    process.kill()
    process.communicate()


def test_up_starts_and_ends_both_servers(
    up: Up,
) -> None:
    process, variables = up
    bootstrap, url = variables["STREAM_SCORER_KAFKA__BOOTSTRAP_SERVERS"], variables["STREAM_SCORER_REDIS__URL"]
    topics = AdminClient({"bootstrap.servers": bootstrap}).list_topics(timeout=10).topics
    assert len(topics["customer-requests"].partitions) == int(variables["STREAM_SCORER_TOPICS__PARTITIONS"]) == 3
    assert redis.Redis.from_url(url).dbsize() == 0
    done = run("doctor", "--json", **variables)
    assert {finding["check"] for finding in json.loads(done.stdout) if finding["state"] == "fault"} == {"release"}

    process.send_signal(signal.SIGTERM)
    assert process.wait(90) == 0
    assert not listening(int(bootstrap.split(":")[1]))
    assert not listening(int(url.split(":")[2].split("/")[0]))
