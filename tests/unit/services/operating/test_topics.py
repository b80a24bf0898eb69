"""Topics: created where missing, compared where not."""

from stream_scorer.adapters.memory.admin import MemoryTopicAdmin
from stream_scorer.core.messages import LIMIT_MAX
from stream_scorer.ports import TopicSpec, TopicState
from stream_scorer.services.operating.topics import create_topics, differences
from stream_scorer.settings import Settings
from stream_scorer.topic_plan import horizon_ms, ranking_bytes_max, topic_specs
from stream_scorer.topic_settings import TopicSettings

SPEC = TopicSpec("t", 8, 3, {"cleanup.policy": "delete", "retention.ms": "5"})


def test_missing_topics_are_created_as_they_should_be() -> None:
    admin = MemoryTopicAdmin()
    results = create_topics(admin, [SPEC])
    assert [(result.action, result.differences) for result in results] == [("created", ())]
    assert admin.topics["t"] == TopicState(8, 3, SPEC.config)


def test_the_second_time_nothing_is_done() -> None:
    admin = MemoryTopicAdmin()
    create_topics(admin, [SPEC])
    assert [(result.action, result.differences) for result in create_topics(admin, [SPEC])] == [("exists", ())]


def test_what_exists_stays_as_it_is_and_is_told() -> None:
    other = TopicState(4, 3, {"cleanup.policy": "compact", "retention.ms": "5"})
    admin = MemoryTopicAdmin({"t": other})
    (result,) = create_topics(admin, [SPEC])
    assert result.differences == ("4 partitions, not 8", "cleanup.policy compact, not delete")
    assert admin.topics["t"] == other


def test_a_broker_that_does_not_tell_is_told() -> None:
    assert differences(SPEC, TopicState(8, 1, None)) == (
        "replication factor 1, not 3",
        "the broker does not tell its configuration",
    )


def test_rankings_outcomes_and_labels_have_one_partition_count_and_the_brokers_time() -> None:
    settings = Settings()
    specs = {spec.name: spec for spec in topic_specs(settings)}
    aligned = [specs[name] for name in (settings.topics.rankings, settings.topics.outcomes, settings.topics.labels)]
    assert {spec.partitions for spec in aligned} == {settings.topics.partitions}
    assert all(spec.config["message.timestamp.type"] == "LogAppendTime" for spec in aligned)


def test_the_defaults_keep_rankings_and_outcomes_longer_than_the_join_looks_back() -> None:
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


def test_a_ranking_of_the_largest_size_leaves_room_for_its_labels() -> None:
    settings = Settings(topics=TopicSettings(record_bytes_max=1_048_588))
    [labels] = [spec for spec in topic_specs(settings) if spec.name == settings.topics.labels]
    assert ranking_bytes_max(settings) + 75 * LIMIT_MAX < int(labels.config["max.message.bytes"])
