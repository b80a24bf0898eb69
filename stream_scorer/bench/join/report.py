"""The join's figures, as data and as a page for people."""

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from stream_scorer.bench.join.costs import JoinCost, RestoreTime
from stream_scorer.bench.join.throughput import JoinThroughput
from stream_scorer.services.streaming.join_restore import Emit

Facts = Mapping[str, str | int]

# Figures of the throw-away prototype of this join. It emitted labels at once, exactly once, kept its rankings of 10
# offers and 1.2 kB compressed, and restored a million of them over Kafka.
PROTOTYPE = {
    "processor_us_per_ranking": 58.0,
    "bytes_per_held": 1_450.0,
    "million_restored_s": 18.0,
    "longest_gap_s": 0.48,
}
_SPOKEN = dict(
    zip(PROTOTYPE, ("processor time of the command", "memory", "time to restore", "longest gap"), strict=True)
)


def join_facts(*, offers: int, batch: int, partitions: int, rounds: int, costs: Sequence[JoinCost]) -> Facts:
    """Return the sizes and the machine on which the figures depend."""
    return {
        "offers": offers,
        "batch_records_max": batch,
        "partitions": partitions,
        "rounds": rounds,
        "ranking_bytes": costs[0].time.ranking_bytes,
        "cores": os.cpu_count() or 0,
        "load_average": f"{os.getloadavg()[0]:.1f}",
        "machine": platform.machine(),
        "python": platform.python_version(),
    }


def join_data(
    facts: Facts, throughput: Sequence[JoinThroughput], costs: Sequence[JoinCost], restores: Mapping[Emit, RestoreTime]
) -> dict[str, Any]:
    """Return all figures as JSON values; the name of an extrapolated one says so."""
    rows = [asdict(cost) for cost in costs]
    for cost, row in zip(costs, rows, strict=True):
        row["restore"]["million_extrapolated_s"] = cost.restore.million_extrapolated_s
    from_broker = {
        emit: {**asdict(time), "million_extrapolated_s": time.million_extrapolated_s} for emit, time in restores.items()
    }
    more = {
        "restore_from_broker": from_broker,
        "prototype": PROTOTYPE,
        "to_prototype": to_prototype(throughput, costs, restores),
    }
    return {"facts": dict(facts), "throughput": [asdict(row) for row in throughput], "join": rows, **more}


def to_prototype(
    throughput: Sequence[JoinThroughput], costs: Sequence[JoinCost], restores: Mapping[Emit, RestoreTime]
) -> dict[str, float]:
    """Return the figures that were measured the same way as the prototype's, as ratios to these."""
    figures: dict[str, float] = {}
    for row in throughput:
        if (row.emit, row.delivery) == ("at_once", "exactly_once"):
            figures["processor_us_per_ranking"] = row.processor_us_per_ranking
    for cost in costs:
        if cost.emit == "at_once":
            figures["bytes_per_held"] = cost.memory.bytes_per_held
    if (restored := restores.get("at_once")) is not None:
        figures |= {"million_restored_s": restored.million_extrapolated_s, "longest_gap_s": restored.longest_gap_s}
    return {name: figure / PROTOTYPE[name] for name, figure in figures.items()}


def join_page(
    facts: Facts, throughput: Sequence[JoinThroughput], costs: Sequence[JoinCost], restores: Mapping[Emit, RestoreTime]
) -> str:
    """Return the figures as a page for people."""
    lines = [", ".join(f"{name.replace('_', ' ')} {value}" for name, value in facts.items()), ""]
    lines.append(f"{'the command':<24}{'rankings':>12}{'labels':>12}{'µs/ranking':>12}{'MiB':>8}")
    lines += [_throughput_line(row) for row in throughput]
    lines += [
        "",
        (
            f"{'the join alone':<16}{'µs/ranking':>12}{'held':>12}{'bytes each':>12}"
            f"{'restore s':>12}{'longest gap ms':>16}"
        ),
    ]
    lines += [_line(cost) for cost in costs]
    lines += ["", "held: open requests at once, waiting outcomes at the close"]
    lines += [
        f"{cost.emit}: a million to restore, extrapolated: {cost.restore.million_extrapolated_s:.1f} s"
        for cost in costs
    ]
    lines += ["", *(_restore_line(emit, restored) for emit, restored in restores.items())]
    ratios = ", ".join(
        f"{_SPOKEN[name]} {ratio:.2f}" for name, ratio in to_prototype(throughput, costs, restores).items()
    )
    lines += ["", f"to the prototype's, whose rankings were of 1.2 kB: {ratios}"]
    return "\n".join(lines)


def _throughput_line(row: JoinThroughput) -> str:
    name = f"{row.emit}, {row.delivery}"
    return f"{name:<24}{row.rankings:>12,}{row.labels:>12,}{row.processor_us_per_ranking:>12.1f}{row.memory_mib:>8.0f}"


def _restore_line(emit: Emit, restored: RestoreTime) -> str:
    gap_ms, million_s = restored.longest_gap_s * 1000, restored.million_extrapolated_s
    took = f"{restored.seconds:.1f} s (a million: {million_s:.1f} s)"
    return f"{emit}: {restored.restored:,} restored from a broker in {took}, longest gap {gap_ms:.0f} ms"


def _line(cost: JoinCost) -> str:
    restore = cost.restore
    return (
        f"{cost.emit:<16}{cost.time.processor_us_per_ranking:>12.1f}{cost.memory.held:>12,}{cost.memory.bytes_per_held:>12,.0f}"
        f"{restore.seconds:>12.2f}{restore.longest_gap_s * 1000:>16.0f}"
    )
