"""The ranker's figures, as data and as a page for people."""

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from stream_scorer.bench.rank.measures import Latency, Throughput
from stream_scorer.bench.rank.stages import StageTimes, stages_page
from stream_scorer.bench.stand import Stand

_SAMPLE = 1_000

Facts = Mapping[str, str | int]


def facts_of(stand: Stand, *, offers: int, batch: int, partitions: int, rounds: int) -> Facts:
    """Return the sizes and the machine on which the figures depend."""
    requests = stand.load.requests(_SAMPLE)
    return {
        "offers": offers,
        "batch_records_max": batch,
        "partitions": partitions,
        "rounds": rounds,
        "records": "mixed" if stand.load.is_mixed else "plain",
        "request_bytes": sum(map(len, requests)) // len(requests),
        "ranking_bytes": stand.ranking_bytes,
        **machine_facts(),
    }


def machine_facts() -> Facts:
    """Return what figures depend on whatever is measured."""
    return {"cores": os.cpu_count() or 0, "machine": platform.machine(), "python": platform.python_version()}


def as_data(
    facts: Facts, throughput: Sequence[Throughput], latency: Sequence[Latency], stages: Sequence[StageTimes] = ()
) -> dict[str, Any]:
    """Return all figures as JSON values, with the ratio of each worker's processor time to the bare loop's."""
    bare = {row.delivery: row for row in throughput if row.worker == "bare"}
    rows = [
        {**asdict(row), "ratio_to_bare": row.processor_us_per_event / bare[row.delivery].processor_us_per_event}
        for row in throughput
    ]
    return {
        "facts": dict(facts),
        "throughput": rows,
        "latency": [asdict(row) for row in latency],
        "stages": [asdict(row) for row in stages],
    }


def as_page(
    facts: Facts, throughput: Sequence[Throughput], latency: Sequence[Latency], stages: Sequence[StageTimes] = ()
) -> str:
    """Return the figures as a page for people."""
    data = as_data(facts, throughput, latency)
    lines = [", ".join(f"{name.replace('_', ' ')} {value}" for name, value in facts.items()), ""]
    lines.append(f"{'':<24}{'events/s':>12}{'µs/event':>12}{'to bare':>10}{'MiB':>8}")
    for row in data["throughput"]:
        name, ratio = f"{row['worker']}, {row['delivery']}", row["ratio_to_bare"]
        lines.append(
            f"{name:<24}{row['events_per_s']:>12,.0f}{row['processor_us_per_event']:>12.1f}{ratio:>10.2f}{row['memory_mib']:>8.0f}"
        )
    lines += ["", f"{'':<24}{'requests/s':>12}{'p50 ms':>12}{'p99 ms':>10}"]
    lines += [
        f"{f'{row.worker}, {row.delivery}':<24}{row.rate:>12,.0f}{row.p50_ms:>12.1f}{row.p99_ms:>10.1f}"
        for row in latency
    ]
    if stages:
        lines += ["", stages_page(stages)]
    return "\n".join(lines)
