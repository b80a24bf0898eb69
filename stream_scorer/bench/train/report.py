"""The figures of training, as data and as a page for people."""

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from stream_scorer.bench.train.costs import CUSTOMERS, OFFERS, TrainingCost, bytes_per_row
from stream_scorer.bench.train.learning import Point

Facts = Mapping[str, str | int]


def training_facts() -> Facts:
    """Return the sizes and the machine on which the figures depend."""
    return {
        "customers": CUSTOMERS,
        "offers": OFFERS,
        "cores": os.cpu_count() or 0,
        "load_average": f"{os.getloadavg()[0]:.1f}",
        "machine": platform.machine(),
        "python": platform.python_version(),
    }


def training_data(facts: Facts, costs: Sequence[TrainingCost], curve: Sequence[Point]) -> dict[str, Any]:
    """Return all figures as JSON values."""
    rows = [
        {**asdict(cost), "rows_per_s": cost.rows_per_s, "passes_us_per_row": cost.passes_us_per_row} for cost in costs
    ]
    return {
        "facts": dict(facts),
        "training": rows,
        "bytes_per_row": bytes_per_row(costs),
        "learning": [_point(point) for point in curve],
    }


def _point(point: Point) -> dict[str, Any]:
    return {**asdict(point), "joint_share": point.share(point.joint), "separate_share": point.share(point.separate)}


def training_page(facts: Facts, costs: Sequence[TrainingCost], curve: Sequence[Point]) -> str:
    """Return the figures as a page for people."""
    lines = [", ".join(f"{name.replace('_', ' ')} {value}" for name, value in facts.items()), ""]
    lines.append(f"{'':<10}{'rows':>12}{'epochs':>8}{'rows/s':>10}{'µs/row/epoch':>14}{'MiB':>8}")
    lines += [_cost_line(cost) for cost in costs]
    lines += ["", f"train holds {bytes_per_row(costs):.0f} bytes for each row more"]
    if curve:
        lines += ["", "AUC within customer, and how far from popularity to the true odds"]
        lines.append(f"{'rows':>10}{'popularity':>12}{'joint':>16}{'separate':>16}{'true odds':>12}")
        lines += [_point_line(point) for point in curve]
    return "\n".join(lines)


def _cost_line(cost: TrainingCost) -> str:
    sizes = f"{cost.trainer:<10}{cost.rows:>12,}{cost.epochs:>8}"
    return f"{sizes}{cost.rows_per_s:>10,.0f}{cost.passes_us_per_row:>14.2f}{cost.memory_mib:>8.0f}"


def _point_line(point: Point) -> str:
    joint, separate = (f"{auc:.3f} {point.share(auc):>7.0%}" for auc in (point.joint, point.separate))
    return f"{point.rows:>10,}{point.popularity:>12.3f}{joint:>16}{separate:>16}{point.truth:>12.3f}"
