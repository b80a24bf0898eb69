"""Topics: created where missing, compared where not."""

from stream_scorer.adapters.memory.admin import MemoryTopicAdmin
from stream_scorer.core.messages import LIMIT_MAX
from stream_scorer.ports import TopicSpec, TopicState
from stream_scorer.services.operating.topics import create_topics, differences
from stream_scorer.settings import Settings
from stream_scorer.topic_plan import horizon_ms, ranking_bytes_max, topic_specs
from stream_scorer.topic_settings import TopicSettings

SPEC = TopicSpec("t", 8, 3, {"cleanup.policy": "delete", "retention.ms": "5"})


def test_missing_topics_are_created() -> None:
    admin = MemoryTopicAdmin()
    results = create_topics(admin, [SPEC])
    assert [(result.action, result.differences) for result in results] == [("created", ())]
    assert admin.topics["t"] == TopicState(8, 3, SPEC.config)


def test_the_second_time_nothing_is_done() -> None:
    admin = MemoryTopicAdmin()
    create_topics(admin, [SPEC])
    assert [(result.action, result.differences) for result in create_topics(admin, [SPEC])] == [("exists", ())]


def test_existing_topics_are_compared_only() -> None:
    other = TopicState(4, 3, {"cleanup.policy": "compact", "retention.ms": "5"})
    admin = MemoryTopicAdmin({"t": other})
    (result,) = create_topics(admin, [SPEC])
    assert result.differences == ("4 partitions, not 8", "cleanup.policy compact, not delete")
    assert admin.topics["t"] == other


def test_a_silent_broker_is_a_difference() -> None:
    assert differences(SPEC, TopicState(8, 1, None)) == (
        "replication factor 1, not 3",
        "the broker does not report its configuration",
    )


def test_the_joins_topics_are_aligned() -> None:
    settings = Settings()
    specs = {spec.name: spec for spec in topic_specs(settings)}
    aligned = [specs[name] for name in (settings.topics.rankings, settings.topics.outcomes, settings.topics.labels)]
    assert {spec.partitions for spec in aligned} == {settings.topics.partitions}
    assert all(spec.config["message.timestamp.type"] == "LogAppendTime" for spec in aligned)


def test_retention_covers_the_joins_horizon() -> None:
    settings = Settings()
    specs = {spec.name: spec for spec in topic_specs(settings)}
    assert all(
        int(specs[name].config["retention.ms"]) > horizon_ms(settings)
        for name in (settings.topics.rankings, settings.topics.outcomes)
    )


def test_offers_are_compacted() -> None:
    settings = Settings()
    specs = {spec.name: spec for spec in topic_specs(settings)}
    assert specs[settings.topics.offers].config["cleanup.policy"] == "compact"


def test_the_largest_ranking_leaves_room_for_labels() -> None:
    settings = Settings(topics=TopicSettings(record_bytes_max=1_048_588))
    [labels] = [spec for spec in topic_specs(settings) if spec.name == settings.topics.labels]
    assert ranking_bytes_max(settings) + 75 * LIMIT_MAX < int(labels.config["max.message.bytes"])
