"""Figures by their names."""

from collections import Counter

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from stream_scorer.adapters.local.clock import HandClock
from stream_scorer.core.features.coverage import FeatureCoverage
from stream_scorer.core.joining.written_labels import LabelTally
from stream_scorer.core.messages import ReleaseId
from stream_scorer.core.records import Partition, Record
from stream_scorer.health import Health
from stream_scorer.ports import Assignment, BatchReport, Fetched
from stream_scorer.telemetry.messaging import SECONDS
from stream_scorer.telemetry.prometheus import RELEASES_MAX, PrometheusTelemetry

REPORT = BatchReport(
    "rank",
    consumed={"requests": 5},
    produced={"rankings": 4},
    dead_letters={("requests", "not_json"): 1},
    oldest_s=0.3,
)


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def clock() -> HandClock:
    return HandClock(1_000_000)


@pytest.fixture
def telemetry(registry: CollectorRegistry, clock: HandClock) -> PrometheusTelemetry:
    return PrometheusTelemetry(registry, health=Health(clock, stalled_after_s=60), clock=clock)


def test_a_batch_counts_by_job(telemetry: PrometheusTelemetry, registry: CollectorRegistry) -> None:
    telemetry.batch(REPORT)
    telemetry.batch(REPORT)
    value = registry.get_sample_value
    assert value("stream_scorer_records_consumed_total", {"ring_job": "rank", "topic": "requests"}) == 10
    assert value("stream_scorer_records_produced_total", {"ring_job": "rank", "topic": "rankings"}) == 8
    assert value("stream_scorer_dead_letters_total", {"ring_job": "rank", "topic": "requests", "code": "not_json"}) == 2
    assert value("stream_scorer_batch_records_sum", {"ring_job": "rank"}) == 10
    assert value("stream_scorer_end_to_end_seconds_bucket", {"ring_job": "rank", "le": "0.5"}) == 2


OF_GROUP = {"ring_job": "rank", "messaging_system": "kafka", "messaging_consumer_group_name": "g"}


def test_operations_follow_the_messaging_conventions(registry: CollectorRegistry, clock: HandClock) -> None:
    telemetry = PrometheusTelemetry(registry, health=Health(clock, stalled_after_s=60), clock=clock, group="g")
    telemetry.took("rank", "process", 0.02)
    telemetry.took("rank", "poll", 0.02)
    telemetry.took("rank", "send", 0.02, error="BatchAborted")
    names: list[tuple[str, str, dict[str, str]]] = [("messaging_process_duration_seconds", "process", {})]
    names += [
        ("messaging_client_operation_duration_seconds", name, {"messaging_operation_type": kind, "error_type": error})
        for name, kind, error in (("poll", "receive", ""), ("send", "send", "BatchAborted"))
    ]
    for metric, name, labels in names:
        about = {**OF_GROUP, "messaging_operation_name": name, **labels}
        assert registry.get_sample_value(f"{metric}_bucket", {**about, "le": "0.025"}) == 1


def test_messages_count_by_topic_and_try(registry: CollectorRegistry, clock: HandClock) -> None:
    telemetry = PrometheusTelemetry(registry, health=Health(clock, stalled_after_s=60), clock=clock, group="g")
    telemetry.fetched("rank", Fetched([Record("requests", 0, offset, None, b"{}", 0) for offset in range(3)]))
    telemetry.sent("rank", {"rankings": 2}, error="BatchAborted")
    telemetry.sent("rank", {"rankings": 2})
    value, to = registry.get_sample_value, {"messaging_destination_name": "rankings"}
    read = {**OF_GROUP, "messaging_operation_name": "poll", "messaging_destination_name": "requests"}
    sent = [{**OF_GROUP, "messaging_operation_name": "send", **to, "error_type": each} for each in ("", "BatchAborted")]
    assert value("messaging_client_consumed_messages_total", read) == 3
    assert [value("messaging_client_sent_messages_total", each) for each in sent] == [2, 2]


def test_buckets_are_those_of_the_conventions() -> None:
    # what the page on messaging metrics asks for, word for word
    assert SECONDS == (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)


FIRST, SECOND = Partition("requests", 0), Partition("requests", 1)


def lags(registry: CollectorRegistry, unit: str) -> list[float | None]:
    places = ({"ring_job": "rank", "topic": "requests", "partition": number} for number in "01")
    return [registry.get_sample_value(f"stream_scorer_lag_{unit}", place) for place in places]


def test_a_dropped_partition_has_no_lag(telemetry: PrometheusTelemetry, registry: CollectorRegistry) -> None:
    telemetry.polled("rank", {FIRST: 7, SECOND: 9}, {FIRST: 990_000})
    telemetry.fetched("rank", Fetched([], Assignment(dropped=(FIRST, SECOND))))
    telemetry.polled("rank", {SECOND: 3}, {})
    assert (lags(registry, "records"), lags(registry, "seconds")) == ([None, 3], [None, None])


def test_a_partition_comes_back_without_its_past(telemetry: PrometheusTelemetry, registry: CollectorRegistry) -> None:
    telemetry.polled("rank", {FIRST: 0}, {})
    telemetry.fetched("rank", Fetched([], Assignment(dropped=(FIRST,))))
    telemetry.polled("rank", {FIRST: 7}, {})
    assert (lags(registry, "records")[0], lags(registry, "seconds")[0]) == (7, None)


def test_a_lag_stands_until_another_is_known(telemetry: PrometheusTelemetry, registry: CollectorRegistry) -> None:
    telemetry.polled("rank", {FIRST: 7}, {})
    telemetry.polled("rank", {}, {})
    assert (lags(registry, "records"), lags(registry, "seconds")) == ([7, None], [None, None])


def test_lag_seconds_begin_with_the_last_record(telemetry: PrometheusTelemetry, registry: CollectorRegistry) -> None:
    telemetry.polled("rank", {FIRST: 7, SECOND: 0}, {FIRST: 940_000, SECOND: 940_000})
    assert lags(registry, "seconds") == [60, 0]


def test_lag_seconds_grow_without_a_poll(
    telemetry: PrometheusTelemetry, registry: CollectorRegistry, clock: HandClock
) -> None:
    telemetry.polled("rank", {FIRST: 7, SECOND: 0}, {FIRST: 940_000})
    clock.set(1_100_000)
    assert lags(registry, "seconds") == [160, 0]


def test_a_quiet_hour_is_no_lag(telemetry: PrometheusTelemetry, registry: CollectorRegistry, clock: HandClock) -> None:
    telemetry.polled("rank", {FIRST: 0}, {FIRST: 1_000_000})
    clock.set(4_600_000)
    telemetry.polled("rank", {FIRST: 0}, {FIRST: 1_000_000})
    clock.set(4_601_000)
    telemetry.polled("rank", {FIRST: 5}, {FIRST: 1_000_000})
    assert lags(registry, "seconds")[0] == 1


def test_partitions_held_follow_the_rebalances(telemetry: PrometheusTelemetry, registry: CollectorRegistry) -> None:
    telemetry.fetched("rank", Fetched([], Assignment(gained=(Partition("requests", 0), Partition("requests", 1)))))
    telemetry.fetched("rank", Fetched([], Assignment(dropped=(Partition("requests", 0),))))
    assert registry.get_sample_value("stream_scorer_partitions", {"ring_job": "rank"}) == 1
    assert registry.get_sample_value("stream_scorer_rebalances_total", {"ring_job": "rank"}) == 2


def test_a_restore_reaches_the_health_pages(registry: CollectorRegistry, clock: HandClock) -> None:
    health = Health(clock, stalled_after_s=60)
    telemetry = PrometheusTelemetry(registry, health=health, clock=clock)
    telemetry.fetched("join", Fetched([], Assignment(gained=(FIRST,))))
    telemetry.restoring("join", 1)
    assert health.readyz() == (False, "not ready: join rebuilds the state of 1 partitions")


def test_the_current_release_alone_is_named(
    telemetry: PrometheusTelemetry, registry: CollectorRegistry, clock: HandClock
) -> None:
    telemetry.release(ReleaseId("old"), 0, forced=False)
    telemetry.release(ReleaseId("new"), 990_000, forced=True)
    assert registry.get_sample_value("stream_scorer_release_info", {"release_id": "old", "forced": "false"}) is None
    assert registry.get_sample_value("stream_scorer_release_info", {"release_id": "new", "forced": "true"}) == 1
    clock.set(1_010_000)
    assert registry.get_sample_value("stream_scorer_release_age_seconds") == 20


def test_labels_count_by_cause(telemetry: PrometheusTelemetry, registry: CollectorRegistry) -> None:
    telemetry.labels(LabelTally(Counter(accepted=2)), {"joined": 2, "unknown_request": 1}, open_requests=5)
    telemetry.labels(LabelTally(Counter(accepted=1, declined=1)), {"joined": 2}, open_requests=3)
    assert registry.get_sample_value("stream_scorer_labels_total", {"cause": "accepted"}) == 3
    assert registry.get_sample_value("stream_scorer_answers_total", {"fate": "joined"}) == 4
    assert registry.get_sample_value("stream_scorer_answers_total", {"fate": "unknown_request"}) == 1
    assert registry.get_sample_value("stream_scorer_open_requests") == 3


def test_acceptance_delays_are_a_histogram(telemetry: PrometheusTelemetry, registry: CollectorRegistry) -> None:
    telemetry.labels(LabelTally(delays_ms=[400, 1_000, 70_000]), {}, 0)
    telemetry.labels(LabelTally(delays_ms=[90_000_000]), {}, 0)
    page = generate_latest(registry).decode()
    assert 'stream_scorer_acceptance_delay_seconds_bucket{le="1.0"} 2.0' in page
    assert 'stream_scorer_acceptance_delay_seconds_bucket{le="86400.0"} 3.0' in page
    assert "stream_scorer_acceptance_delay_seconds_count 4.0" in page
    assert "stream_scorer_acceptance_delay_seconds_sum 90071.4" in page


def test_old_releases_leave_the_page(telemetry: PrometheusTelemetry, registry: CollectorRegistry) -> None:
    for number in range(RELEASES_MAX + 1):
        telemetry.labels(LabelTally(closed=Counter({f"r{number}": 10}), accepted=Counter({f"r{number}": 3})), {}, 0)
    assert registry.get_sample_value("stream_scorer_requests_closed_total", {"release_id": "r1"}) == 10
    assert registry.get_sample_value("stream_scorer_requests_accepted_total", {"release_id": "r1"}) == 3
    assert registry.get_sample_value("stream_scorer_requests_closed_total", {"release_id": "r0"}) is None


def test_the_version_is_among_the_metrics(telemetry: PrometheusTelemetry, registry: CollectorRegistry) -> None:
    assert "stream_scorer_build_info{version=" in generate_latest(registry).decode()


def test_features_count_by_state(telemetry: PrometheusTelemetry, registry: CollectorRegistry) -> None:
    for _ in range(2):
        telemetry.features(FeatureCoverage("customer", ("age",), 9, {"age": 5}, {"age": 1}, {"Age": 4}, 4))
    found = {
        state: registry.get_sample_value(
            "stream_scorer_features_total", {"side": "customer", "feature": feature, "state": state}
        )
        for feature, state in (("age", "read"), ("age", "missing"), ("age", "other_kind"), ("", "unknown"))
    }
    assert found == {"read": 6, "missing": 10, "other_kind": 2, "unknown": 8}


def test_features_of_old_models_leave(telemetry: PrometheusTelemetry, registry: CollectorRegistry) -> None:
    for name in ("age", "city"):
        telemetry.features(FeatureCoverage("customer", (name,), 3))
    samples = [sample for metric in registry.collect() for sample in metric.samples if "features" in sample.name]
    assert {sample.labels["feature"] for sample in samples} == {"city", ""}
