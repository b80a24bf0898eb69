"""The doctor: silent on what is well, and of every fault what to do."""

from dataclasses import replace

import pytest

from stream_scorer.adapters.memory.admin import MemoryStoreAdmin, MemoryTopicAdmin
from stream_scorer.adapters.memory.releases import MemoryReleases
from stream_scorer.core.records import Partition
from stream_scorer.ports import StoreFacts, TopicState
from stream_scorer.services.operating.doctor import Finding, examine
from stream_scorer.services.operating.topics import create_topics
from stream_scorer.settings import Settings
from stream_scorer.wiring.examining import expected_of
from tests.release_samples import model, offer, published, release

SETTINGS = Settings()
EXPECTED = expected_of(SETTINGS)
WELL = StoreFacts("Valkey 9.1", "noeviction", 10, 100)
TOPICS = SETTINGS.topics


class World:
    """A healthy world, to be harmed in one place."""

    def __init__(self) -> None:
        self.admin, self.facts, self.releases = MemoryTopicAdmin(), WELL, MemoryReleases()
        create_topics(self.admin, EXPECTED.specs)
        published(self.releases)

    def troubles(self, server: MemoryStoreAdmin | None = None) -> list[Finding]:
        found = examine(self.admin, server or MemoryStoreAdmin(self.facts), self.releases, EXPECTED, now_ms=10_000)
        return [finding for finding in found if finding.state != "ok"]

    def configure(self, topic: str, **config: str) -> None:
        state = self.admin.topics[topic]
        changed = {**(state.config or {}), **{key.replace("_", "."): value for key, value in config.items()}}
        self.admin.topics[topic] = TopicState(state.partitions, state.replication_factor, changed)


@pytest.fixture
def world() -> World:
    return World()


def test_a_healthy_world_has_no_troubles(world: World) -> None:
    assert world.troubles() == []


def test_redis_is_examined_without_brokers(world: World) -> None:
    world.admin.away = True
    world.facts = replace(WELL, eviction_policy="allkeys-lru")
    assert [(finding.check, finding.state) for finding in world.troubles()] == [
        ("brokers", "fault"),
        ("redis memory", "fault"),
    ]


def test_transactions_matter_for_exactly_once_alone(world: World) -> None:
    world.admin.refusal = "not authorized"
    (finding,) = world.troubles()
    assert (finding.check, finding.says) == ("transactions", "not possible: not authorized")
    relaxed = replace(EXPECTED, transactions=False)
    found = examine(world.admin, MemoryStoreAdmin(WELL), world.releases, relaxed, now_ms=0)
    assert all(finding.state == "ok" for finding in found)


def test_a_missing_topic_is_made_by_topics(world: World) -> None:
    del world.admin.topics[TOPICS.rankings]
    (finding,) = world.troubles()
    assert (finding.check, finding.state, finding.do) == (TOPICS.rankings, "fault", "stream-scorer topics")


def test_unequal_partition_counts_are_a_fault(world: World) -> None:
    world.admin.topics[TOPICS.outcomes] = replace(world.admin.topics[TOPICS.outcomes], partitions=4)
    (finding,) = world.troubles()
    assert (finding.check, finding.state) == ("partitions", "fault")
    assert "the most is 8, but outcomes has 4" in finding.says


@pytest.mark.parametrize(
    ("topic", "config", "says"),
    [
        (
            TOPICS.rankings,
            {"message_timestamp_type": "CreateTime"},
            "message.timestamp.type is CreateTime, must be LogAppendTime",
        ),
        (TOPICS.offers, {"cleanup_policy": "delete"}, "cleanup.policy is delete, must be compact"),
        (TOPICS.rankings, {"cleanup_policy": "compact"}, "cleanup.policy is compact, must be delete"),
        (
            TOPICS.outcomes,
            {"retention_ms": "60000"},
            "retention.ms is 60000, must be at least 5640000: the join reads back that far",
        ),
        (
            TOPICS.dead_letters,
            {"max_message_bytes": "1048588"},
            "max.message.bytes is 1048588, must be at least 2000000",
        ),
    ],
)
def test_a_wrong_topic_names_the_remedy(world: World, topic: str, config: dict[str, str], says: str) -> None:
    world.configure(topic, **config)
    (finding,) = world.troubles()
    assert (finding.check, finding.state, finding.says) == (topic, "fault", says)
    assert f"--entity-name {topic} --add-config {next(iter(config)).replace('_', '.')}=" in finding.do


def test_unlimited_retention_is_long_enough(world: World) -> None:
    world.configure(TOPICS.rankings, retention_ms="-1")
    assert world.troubles() == []


def test_a_group_behind_needs_members(world: World) -> None:
    world.admin.behind[SETTINGS.join.group] = {Partition(TOPICS.rankings, 0): 7}
    (finding,) = world.troubles()
    assert (finding.state, finding.says, finding.do) == ("warning", "0 members, 7 records behind", "stream-scorer join")
    world.admin.member_counts[SETTINGS.join.group] = 1
    assert world.troubles() == []


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
def test_an_evicting_store_is_a_fault(world: World, policy: str) -> None:
    world.facts = replace(WELL, eviction_policy=policy)
    (finding,) = world.troubles()
    assert (finding.check, finding.state) == ("redis memory", "fault")
    assert "noeviction" in finding.do


def test_a_nearly_full_store_warns(world: World) -> None:
    world.facts = replace(WELL, memory_used_bytes=90)
    (finding,) = world.troubles()
    assert (finding.check, finding.state) == ("redis memory", "warning")


def test_an_unreachable_store_is_one_fault(world: World) -> None:
    world.releases.away = True
    (finding,) = world.troubles(MemoryStoreAdmin(None))
    assert (finding.check, finding.state) == ("redis", "fault")


def test_no_release_yet_is_a_fault(world: World) -> None:
    world.releases = MemoryReleases()
    (finding,) = world.troubles()
    assert (finding.check, finding.state) == ("release", "fault")


def test_offers_without_the_features_warn(world: World) -> None:
    world.releases, made = MemoryReleases(), model(1)
    stated = [offer(number, features={"Price": 1.0, "colour": "red"}) for number in range(3)]
    written = release(made, stated)
    world.releases.write(written, made)
    world.releases.activate(written.release_id, keep=3)
    (finding,) = world.troubles()
    assert (finding.check, finding.state) == ("features", "warning")
    assert finding.says == "1 of 2 features that the model reads are missing from most offers: price"
