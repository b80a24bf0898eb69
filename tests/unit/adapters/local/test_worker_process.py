"""Workers of `serve` that are not started yet."""

from stream_scorer.adapters.local.worker_process import WorkerProcesses


def test_a_worker_unstarted_answers_nothing() -> None:
    workers = WorkerProcesses(lambda name: [], lambda name, address, port: {}, pages=True)
    assert workers.ask("rank-0", "/readyz") is None
    assert workers.age_s("rank-0") == 0.0
