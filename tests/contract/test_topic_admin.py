"""What every topic admin must do, in memory and on a real Kafka broker."""

import uuid
from collections.abc import Iterator

import pytest
from confluent_kafka import Producer

from stream_scorer.adapters.kafka.admin import KafkaTopicAdmin
from stream_scorer.adapters.kafka.log import KafkaLog
from stream_scorer.adapters.local.embedded import EmbeddedBroker
from stream_scorer.adapters.memory.admin import MemoryTopicAdmin
from stream_scorer.core.records import Partition, Position
from stream_scorer.errors import NotReady, UsageError
from stream_scorer.ports import TopicAdmin, TopicSpec
from stream_scorer.services.operating.topics import create_topics


@pytest.fixture(params=["memory", "kafka"])
def admin(request: pytest.FixtureRequest) -> TopicAdmin:
    if request.param == "memory":
        return MemoryTopicAdmin()
    return KafkaTopicAdmin({"bootstrap.servers": request.getfixturevalue("kafka")})


@pytest.fixture
def spec() -> TopicSpec:
    config = {"cleanup.policy": "compact", "message.timestamp.type": "LogAppendTime", "max.message.bytes": "2000000"}
    return TopicSpec(f"admin-{uuid.uuid4().hex[:8]}", 3, 1, config)


def test_a_created_topic_is_as_asked(admin: TopicAdmin, spec: TopicSpec) -> None:
    assert admin.describe([spec.name]) == {}
    admin.create([spec])
    state = admin.describe([spec.name])[spec.name]
    assert (state.partitions, state.replication_factor) == (3, 1)
    assert spec.config.items() <= (state.config or {}).items()


def test_creating_a_topic_that_exists_changes_nothing(admin: TopicAdmin, spec: TopicSpec) -> None:
    admin.create([spec])
    admin.create([TopicSpec(spec.name, 7, 1, {})])
    assert admin.describe([spec.name])[spec.name].partitions == 3


def test_our_own_topics_have_no_differences(admin: TopicAdmin, spec: TopicSpec) -> None:
    assert [(result.action, result.differences) for result in create_topics(admin, [spec])] == [("created", ())]
    assert [(result.action, result.differences) for result in create_topics(admin, [spec])] == [("exists", ())]


def test_transactions_are_possible(admin: TopicAdmin) -> None:
    assert admin.transactions() is None


def test_an_unknown_group_has_no_members(admin: TopicAdmin) -> None:
    assert admin.members("nobody") == 0


def test_an_uncommitted_group_lags_by_everything(kafka: str, spec: TopicSpec) -> None:
    admin = KafkaTopicAdmin({"bootstrap.servers": kafka})
    admin.create([spec])
    producer = Producer({"bootstrap.servers": kafka})
    for number in range(5):
        producer.produce(spec.name, b"v", key=f"{number}", partition=1)
    assert producer.flush(30) == 0
    assert admin.lag("nobody", [spec.name]) == {
        Partition(spec.name, 0): 0,
        Partition(spec.name, 1): 5,
        Partition(spec.name, 2): 0,
    }


def test_topics_end_behind_their_last_record(kafka: str, spec: TopicSpec) -> None:
    admin = KafkaTopicAdmin({"bootstrap.servers": kafka})
    admin.create([spec])
    producer = Producer({"bootstrap.servers": kafka})
    producer.produce(spec.name, b"v", key="k", partition=2)
    assert producer.flush(30) == 0
    assert [admin.ends([spec.name, "missing"])[Partition(spec.name, number)] for number in range(3)] == [0, 0, 1]


def test_a_new_topic_ends_where_it_begins(admin: TopicAdmin, spec: TopicSpec) -> None:
    admin.create([spec])
    assert admin.ends([spec.name, "missing"]) == {Partition(spec.name, number): 0 for number in range(3)}
    assert admin.ends([]) == {}


def test_a_brokers_refusal_keeps_its_reason(kafka: str, spec: TopicSpec) -> None:
    with pytest.raises(UsageError, match=r"was refused: .*replicat"):
        KafkaTopicAdmin({"bootstrap.servers": kafka}).create([TopicSpec(spec.name, 1, 9, {})])


@pytest.fixture
def nobody() -> KafkaTopicAdmin:
    return KafkaTopicAdmin({"bootstrap.servers": "127.0.0.1:1"}, timeout_s=0.3)


def test_without_brokers_questions_end_in_time(nobody: KafkaTopicAdmin, spec: TopicSpec) -> None:
    for ask in (
        nobody.brokers,
        lambda: nobody.describe([spec.name]),
        lambda: nobody.create([spec]),
        lambda: nobody.lag("g", [spec.name]),
    ):
        with pytest.raises(NotReady, match=r"no Kafka broker answers at 127\.0\.0\.1:1 within [0-9]\.[0-9] s"):
            ask()


@pytest.fixture
def embedded() -> Iterator[str]:
    with EmbeddedBroker({}) as broker:
        yield broker.bootstrap_servers


def test_the_embedded_broker_makes_topics_freely(embedded: str, spec: TopicSpec) -> None:
    admin = KafkaTopicAdmin({"bootstrap.servers": embedded})
    admin.create([spec])
    state = admin.describe([spec.name])[spec.name]
    assert state.partitions > 0
    assert state.config is None
    with pytest.raises(NotReady, match="does not know the positions"):
        admin.lag("g", [spec.name])


def test_topics_grow_and_never_shrink(admin: TopicAdmin, spec: TopicSpec) -> None:
    admin.create([spec])
    admin.grow([spec.name], 5)
    admin.grow([spec.name], 5)
    assert admin.describe([spec.name])[spec.name].partitions == 5
    with pytest.raises(UsageError, match="more partitions than 4"):
        admin.grow([spec.name], 4)


def test_positions_are_set_without_members(kafka: str, spec: TopicSpec) -> None:
    admin = KafkaTopicAdmin({"bootstrap.servers": kafka})
    admin.create([spec])
    group, place = f"g-{spec.name}", Partition(spec.name, 2)
    admin.set_positions(group, {place: Position(0, '{"a":1}')})
    log = KafkaLog({"bootstrap.servers": kafka, "group.id": group}, timeout_s=30)
    assert log.committed([place]) == {place: Position(0, '{"a":1}')}
    log.close()
