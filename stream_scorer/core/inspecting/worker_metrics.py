"""What workers' own metrics say: how old records were when their outputs were written, and what stages took."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

QUANTILES = (0.5, 0.99)
_WAITS = "stream_scorer_end_to_end_seconds"


class MetricSample(NamedTuple):
    """A line of a worker's metrics."""

    name: str
    labels: tuple[tuple[str, str], ...]
    value: float


@dataclass(frozen=True, slots=True)
class JobTimes:
    """Of a job of a worker since its start: batches, and seconds from its oldest record to the commit, median and p99.

    A quantile is the upper edge of its bucket: at most so long; None where it is beyond the last one.
    """

    job: str
    batches: int
    p50_s: float | None
    p99_s: float | None
    aborted: int
    release_id: str


def job_times(samples: Iterable[MetricSample]) -> Iterator[JobTimes]:
    """Yield the jobs of a worker, by name. Values that count nothing, such as NaN, are passed over."""
    buckets: dict[str, dict[float, float]] = defaultdict(dict)
    aborted: dict[str, int] = {}
    release_id = ""
    for name, labels, value in samples:
        if not math.isfinite(value):  # what answers at a worker's address may be another program
            continue
        label = dict(labels)
        job = label.get("ring_job", "")
        if name == f"{_WAITS}_bucket":
            buckets[job][_edge_of(label)] = value
        elif name == "stream_scorer_batches_aborted_total":
            aborted[job] = int(value)
        elif name == "stream_scorer_release_info":
            release_id = label.get("release_id", "")
    for job, edges in sorted(buckets.items()):
        p50_s, p99_s = (_quantile(edges, share) for share in QUANTILES)
        named = release_id if job == "rank" else ""
        yield JobTimes(job, int(max(edges.values())), p50_s, p99_s, aborted.get(job, 0), named)


def _edge_of(label: dict[str, str]) -> float:
    """Return the upper edge of a bucket; infinity where it states none that is a number."""
    try:
        edge = float(label.get("le", ""))
    except ValueError:
        return math.inf
    return math.inf if math.isnan(edge) else edge


def _quantile(edges: dict[float, float], share: float) -> float | None:
    wanted = share * max(edges.values())
    for edge in sorted(edges):
        if edges[edge] >= wanted:
            return edge if edge != float("inf") else None
    return None
