"""The picture of the crossover: what exact ranking and an index cost by the size of the catalog, and what is found."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RECALL_MIN = 0.99
_COLOURS = ("#24588f", "#2a9d5c", "#c98a1b", "#b0403a", "#7a4fa3", "#555555")


@dataclass(frozen=True, slots=True)
class Crossing:
    """Microseconds a request, exactly and as planned, and the recall, of a catalog with this share eligible."""

    offers: int
    eligible: float
    exact_us: float
    planned_us: float
    recall: float


def draw_crossover(costs: Sequence[Crossing], path: Path) -> None:
    """Write a PNG: times on the left, exact dashed and planned solid, recall on the right; a colour for each share."""
    import matplotlib as mpl

    mpl.use("Agg")  # draws to memory, so no display is needed
    from matplotlib import pyplot as plt

    figure, (times, recalls) = plt.subplots(1, 2, figsize=(12, 5.2), layout="constrained")
    shares = sorted({cost.eligible for cost in costs}, reverse=True)
    for colour, share in zip(_COLOURS, shares, strict=False):
        alike = [cost for cost in costs if cost.eligible == share]
        sizes, name = [cost.offers for cost in alike], "all" if share == 1 else f"{share:.2%}"
        times.plot(sizes, [cost.exact_us for cost in alike], color=colour, linestyle="--", linewidth=1)
        times.plot(sizes, [cost.planned_us for cost in alike], color=colour, marker="o", linewidth=2, label=name)
        recalls.plot(sizes, [cost.recall for cost in alike], color=colour, marker="o", linewidth=2, label=name)
    times.set_yscale("log")
    times.set_ylabel("microseconds of a core a request")
    times.set_title("Exact (dashed) and as planned, by the share eligible")
    times.legend(title="eligible")
    recalls.axhline(RECALL_MIN, color="#b0403a", linestyle=":")
    recalls.set_ylim(RECALL_MIN - 0.005, 1.0005)
    recalls.set_ylabel("recall at ten, as planned")
    recalls.set_title(f"What is found; publish refuses less than {RECALL_MIN}")
    _mark_sizes([times, recalls], sorted({cost.offers for cost in costs}))
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _mark_sizes(panels: Iterable[Any], sizes: Sequence[int]) -> None:
    for axes in panels:
        axes.set_xscale("log")
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axes.minorticks_off()
        axes.set_xlabel("offers")
        axes.grid(alpha=0.25)
