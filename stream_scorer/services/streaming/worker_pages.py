"""The pages of `serve`: those of its workers as one, each worker's metrics under its name."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families

Check = tuple[bool, str]
Answer = tuple[int, str]
_OK = 200


class Workers(Protocol):
    """Running workers, by their names. Safe to ask from any thread."""

    def ask(self, name: str, path: str) -> Answer | None:
        """Return the status and text of a worker's page; None when it does not answer in time."""

    def age_s(self, name: str) -> float:
        """Return how long ago a worker was started."""


class WorkerPages:
    """See Checks, and prometheus_client's collectors. A worker that does not answer yet is starting, not stuck."""

    def __init__(self, names: Sequence[str], workers: Workers, *, stalled_after_s: float) -> None:
        self._names, self._workers, self._stalled_after_s = tuple(names), workers, stalled_after_s

    def startupz(self) -> Check:
        """See Checks."""
        return self._together("/startupz", "started", lambda name: "it does not answer yet")

    def livez(self) -> Check:
        """See Checks. We start a worker that has ended again; a worker that is silent for long is stuck."""
        return self._together("/livez", "live", self._stuck)

    def readyz(self) -> Check:
        """See Checks."""
        return self._together("/readyz", "ready", lambda name: "it does not answer")

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of all workers, with a label `worker`."""
        pages = self._ask("/metrics")
        up = GaugeMetricFamily("stream_scorer_worker_up", "1 for a worker whose page answers", labels=["worker"])
        merged: dict[str, Metric] = {}
        for name, page in pages:
            up.add_metric([name], float(page is not None and page[0] == _OK))
            if page is not None and page[0] == _OK:
                _merge(merged, name, text_string_to_metric_families(page[1]))
        yield up
        yield from merged.values()

    def _together(self, path: str, well: str, silence: Callable[[str], str]) -> Check:
        faults = []
        for name, page in self._ask(path):
            fault = silence(name) if page is None else "" if page[0] == _OK else page[1].strip()
            faults += [f"{name}: {fault}"] if fault else []
        return (False, "; ".join(faults)) if faults else (True, well)

    def _stuck(self, name: str) -> str:
        silent = self._workers.age_s(name) > self._stalled_after_s
        return f"it does not answer, {self._stalled_after_s:g} s after its start" if silent else ""

    def _ask(self, path: str) -> list[tuple[str, Answer | None]]:
        """Ask all at once: together they take as long as the slowest."""
        with ThreadPoolExecutor(len(self._names)) as pool:
            return list(
                zip(self._names, pool.map(lambda name: self._workers.ask(name, path), self._names), strict=True)
            )


def _merge(merged: dict[str, Metric], worker: str, families: Iterable[Metric]) -> None:
    for family in families:
        into = merged.setdefault(family.name, Metric(family.name, family.documentation, family.type))
        for sample in family.samples:
            into.add_sample(sample.name, {"worker": worker, **sample.labels}, sample.value, sample.timestamp)
