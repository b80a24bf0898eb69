"""The picture of learning: AUC within customer by the number of labelled rows, beside popularity and true odds."""

from collections.abc import Mapping, Sequence
from pathlib import Path

_STYLES = {
    "true odds": ("#2a9d5c", "--", ""),
    "joint training": ("#24588f", "-", "o"),
    "popularity": ("#b0403a", "--", ""),
    "towers trained apart": ("#c98a1b", "-", "s"),
}


def draw_learning(rows: Sequence[int], curves: Mapping[str, Sequence[float]], path: Path) -> None:
    """Write a PNG with a line for each name over the same numbers of rows; the legend states each line's last value."""
    import matplotlib as mpl

    mpl.use("Agg")  # draws to memory, so no display is needed
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(10, 5.2), layout="constrained")
    for name, values in curves.items():
        colour, line, marker = _STYLES.get(name, ("#555555", "-", "."))
        axes.plot(
            rows,
            values,
            color=colour,
            linestyle=line,
            marker=marker or None,
            linewidth=2,
            label=f"{name} ({values[-1]:.3f})",
        )
    axes.set_xscale("log")
    axes.set_xticks(rows, [f"{count:,}" for count in rows])
    axes.minorticks_off()
    axes.set_xlabel("labelled rows learned from")
    axes.set_ylabel("AUC within customer, on rankings never seen")
    axes.set_title("What training learns of the simulated shop")
    axes.grid(alpha=0.25)
    axes.legend(loc="upper left", bbox_to_anchor=(0.01, 0.91), framealpha=0.9)
    figure.savefig(path, dpi=130)
    plt.close(figure)
