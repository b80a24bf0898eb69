"""The pages of `serve`, from those of its workers."""

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from stream_scorer.services.streaming.worker_pages import Answer, WorkerPages

RANK = '# TYPE stream_scorer_lag_records gauge\nstream_scorer_lag_records{ring_job="rank"} 3.0\n'
JOIN = '# TYPE stream_scorer_labels_total counter\nstream_scorer_labels_total{cause="accepted"} 5.0\n'


class FixedWorkers:
    """See Workers: answers by (name, path), and `ages_s`."""

    def __init__(self, answers: dict[tuple[str, str], Answer], age_s: float = 1.0) -> None:
        self.answers, self.age = answers, age_s

    def ask(self, name: str, path: str) -> Answer | None:
        return self.answers.get((name, path))

    def age_s(self, name: str) -> float:
        return self.age


def pages(answers: dict[tuple[str, str], Answer], age_s: float = 1.0) -> WorkerPages:
    return WorkerPages(["rank-0", "join-0"], FixedWorkers(answers, age_s), stalled_after_s=60)


def test_all_workers_metrics_show_their_names() -> None:
    registry = CollectorRegistry()
    registry.register(pages({("rank-0", "/metrics"): (200, RANK), ("join-0", "/metrics"): (200, RANK + JOIN)}))
    shown = generate_latest(registry).decode()
    assert 'stream_scorer_lag_records{ring_job="rank",worker="rank-0"} 3.0' in shown
    assert 'stream_scorer_lag_records{ring_job="rank",worker="join-0"} 3.0' in shown
    assert 'stream_scorer_labels_total{cause="accepted",worker="join-0"} 5.0' in shown
    assert shown.count("# TYPE stream_scorer_lag_records gauge") == 1


def test_a_silent_worker_counts_as_down() -> None:
    registry = CollectorRegistry()
    registry.register(pages({("rank-0", "/metrics"): (200, RANK)}))
    shown = generate_latest(registry).decode()
    assert 'stream_scorer_worker_up{worker="rank-0"} 1.0' in shown
    assert 'stream_scorer_worker_up{worker="join-0"} 0.0' in shown


def test_all_workers_must_be_ready() -> None:
    ready = {("rank-0", "/readyz"): (200, "ready\n"), ("join-0", "/readyz"): (200, "ready\n")}
    assert pages(ready).readyz() == (True, "ready")
    waiting = {**ready, ("rank-0", "/readyz"): (503, "waiting for the first release\n")}
    assert pages(waiting).readyz() == (False, "rank-0: waiting for the first release")
    assert pages({}).readyz() == (False, "rank-0: it does not answer; join-0: it does not answer")


@pytest.mark.parametrize(("age_s", "live"), [(1.0, True), (61.0, False)])
def test_a_starting_worker_may_be_silent(age_s: float, live: bool) -> None:
    assert pages({("rank-0", "/livez"): (200, "live\n")}, age_s).livez()[0] is live


def test_a_stuck_worker_fails_the_whole() -> None:
    answers = {("rank-0", "/livez"): (503, "stalled: rank\n"), ("join-0", "/livez"): (200, "live\n")}
    assert pages(answers).livez() == (False, "rank-0: stalled: rank")
