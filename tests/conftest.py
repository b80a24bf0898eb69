"""The real servers that tests share: a Kafka and a Valkey for each process that runs tests, topics for each test."""

import os

os.environ.setdefault(
    "OPENBLAS_NUM_THREADS", "1"
)  # as our commands do, before numpy comes: on busy cores its threads wait in vain

import uuid
from collections.abc import Callable, Iterator

import hypothesis
import pytest
import structlog
from confluent_kafka.admin import AdminClient

from stream_scorer.adapters.kafka.admin import KafkaTopicAdmin
from stream_scorer.adapters.local.kafka import LocalKafka
from stream_scorer.adapters.local.valkey import LocalValkey
from stream_scorer.services.operating.topics import create_topics
from stream_scorer.settings import LocalSettings, Settings
from stream_scorer.topic_plan import topic_specs
from stream_scorer.topic_settings import TopicSettings
from tests.waiting import wait_for

# Machines are busy at times: how long an example takes says nothing. The same examples each time, so that a change
# and not luck turns a test red; `pytest --hypothesis-profile search` draws new ones.
_PATIENT = hypothesis.settings(deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow], print_blob=True)
hypothesis.settings.register_profile("search", _PATIENT)
hypothesis.settings.register_profile("same", _PATIENT, derandomize=True)
hypothesis.settings.load_profile("same")

MakeTopics = Callable[..., TopicSettings]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--no-skips", action="store_true", help="count a skipped test as a failure, unless it is marked may_skip"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_SKIPS] = _Skips()
    config.pluginmanager.register(config.stash[_SKIPS])


class _Skips:
    """Collects the tests that were skipped and may not be, from this process or from those that run tests for it."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped and not hasattr(report, "wasxfail") and "may_skip" not in report.keywords:
            self.found.append(report.nodeid)


_SKIPS = pytest.StashKey[_Skips]()


def pytest_sessionfinish(session: pytest.Session) -> None:
    found = session.config.stash[_SKIPS].found
    if session.config.getoption("no_skips") and found and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if config.getoption("no_skips"):
        for each in config.stash[_SKIPS].found:
            terminalreporter.write_line(f"SKIPPED where no test may be: {each}", red=True)


@pytest.fixture(autouse=True)
def _logging_not_set_up() -> None:
    """Begin as a process does: capture_logs leaves structlog set up, and commands then write where it says."""
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def kafka() -> Iterator[str]:
    """Bootstrap servers of a real Kafka: `TEST_KAFKA`, else one started here. Without one it fails, and never skips."""
    given = os.environ.get("TEST_KAFKA")
    if given:
        yield given
        return
    with local_kafka() as broker:
        # a broker makes its coordinators when first asked for one: that no test depends on who asks first
        KafkaTopicAdmin({"bootstrap.servers": broker.bootstrap_servers}, timeout_s=60).members("nobody")
        yield broker.bootstrap_servers


def local_kafka(**options: object) -> LocalKafka:
    """Return a broker that is not started yet, for tests that stop and kill theirs."""
    places = LocalSettings()
    return LocalKafka(cache=places.cache, kafka_home=places.kafka_home, **options)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def valkey() -> Iterator[LocalValkey]:
    """A Valkey shared by the run: pause it, but leave it as it was found."""
    with LocalValkey() as server:
        yield server


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """The URI of a bucket on a real S3 server; a folder's name goes in its braces."""
    from moto.server import ThreadedMotoServer  # seconds, that most runs need not wait
    from pyarrow import fs

    os.environ |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true"}
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    query = f"endpoint_override={host}:{port}&scheme=http&region=us-east-1"
    filesystem, bucket = fs.FileSystem.from_uri(f"s3://labels?{query}&allow_bucket_creation=true")
    filesystem.create_dir(bucket)
    yield f"s3://labels/{{}}?{query}"
    server.stop()


@pytest.fixture
def redis_url(valkey: LocalValkey) -> str:
    return valkey.url


@pytest.fixture
def redis_prefix() -> str:
    """A key prefix no other test has."""
    return f"test-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def make_topics(kafka: str) -> MakeTopics:
    """Create all topics of the contract under names no other test has; options are TopicSettings'."""

    def make(**options: object) -> TopicSettings:
        tag = uuid.uuid4().hex[:8]
        fields = ("requests", "acceptances", "offers", "rankings", "outcomes", "labels", "dead_letters")
        settings = TopicSettings(**{"partitions": 4, **{each: f"{each}-{tag}" for each in fields}, **options})  # type: ignore[arg-type]
        _create(kafka, settings)
        return settings

    return make


@pytest.fixture
def topics(make_topics: MakeTopics) -> TopicSettings:
    return make_topics()


def _create(kafka: str, topics: TopicSettings) -> None:
    specs = topic_specs(Settings(topics=topics))
    create_topics(KafkaTopicAdmin({"bootstrap.servers": kafka}), specs)
    client = AdminClient({"bootstrap.servers": kafka})
    wait_for(
        lambda: all(_led(client, spec.name) for spec in specs),
        f"leaders of {[spec.name for spec in specs]}",
        every_s=0.02,
    )


def _led(client: AdminClient, topic: str) -> bool:
    partitions = client.list_topics(topic, timeout=30).topics[topic].partitions
    return bool(partitions) and all(each.leader >= 0 for each in partitions.values())
