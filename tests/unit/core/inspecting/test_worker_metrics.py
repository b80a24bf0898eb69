"""What workers' own metrics say, from the text that they serve."""

import pytest

from stream_scorer.core.inspecting.worker_metrics import JobTimes, MetricSample, job_times

BUCKET, ABORTED = "stream_scorer_end_to_end_seconds_bucket", "stream_scorer_batches_aborted_total"


def buckets(job: str, *counts: float) -> list[MetricSample]:
    edges = ("0.01", "0.1", "1.0", "+Inf")
    return [
        MetricSample(BUCKET, (("le", edge), ("ring_job", job)), count)
        for edge, count in zip(edges, counts, strict=True)
    ]


def test_quantiles_are_edges_of_buckets() -> None:
    samples = [
        *buckets("rank", 50, 98, 99, 100),
        MetricSample(ABORTED, (("ring_job", "rank"),), 2),
        MetricSample("stream_scorer_release_info", (("forced", "false"), ("release_id", "r-1")), 1),
    ]
    assert list(job_times(samples)) == [JobTimes("rank", 100, 0.01, 1.0, 2, "r-1")]


def test_beyond_the_last_bucket_is_unknown() -> None:
    assert [each.p99_s for each in job_times(buckets("join", 0, 0, 0, 10))] == [None]


def test_other_metrics_are_no_jobs() -> None:
    assert list(job_times([MetricSample("python_info", (), 1)])) == []


def test_values_that_count_nothing_are_passed_over() -> None:
    nan, endless = float("nan"), float("inf")
    samples = [*buckets("rank", nan, 98, 99, 100), MetricSample(ABORTED, (("ring_job", "rank"),), endless)]
    assert list(job_times(samples)) == [JobTimes("rank", 100, 0.1, 1.0, 0, "")]


@pytest.mark.parametrize("edge", ["", "soon", "NaN"])
def test_buckets_without_an_edge_are_endless(edge: str) -> None:
    assert list(job_times([MetricSample(BUCKET, (("le", edge),), 3.0)])) == [JobTimes("", 3, None, None, 0, "")]
