"""The demo's picture: the acceptance rate over time, release by release, beside popularity and the best possible."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stream_scorer.core.held_out.beside import Z95

Array = NDArray[np.float64]

SMOOTHED_S = 10
SETTLED_S = 3  # seconds after a release's start that are not drawn
BLUE = "#24588f"


@dataclass(frozen=True, slots=True)
class Series:
    """What is drawn.

    `shown` and `accepted` (n,) count the rankings of each second, `releases` are the second and the label of each
    release's start, and the other two are acceptance rates to compare with.
    """

    shown: Sequence[int]
    accepted: Sequence[int]
    releases: Sequence[tuple[float, str]]
    best_possible: float
    popularity: float


def draw_acceptance(series: Series, path: Path) -> None:
    """Write a PNG of the acceptance rate of each release, with 95 % intervals.

    Each point is the rate of the last `SMOOTHED_S` seconds up to it, and never reaches back before its release.
    """
    import matplotlib as mpl

    mpl.use("Agg")  # draws to memory, so no display is needed
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(10, 5.2), layout="constrained")
    axes.axhline(
        series.best_possible,
        color="#2a9d5c",
        linestyle="--",
        linewidth=1.5,
        label=f"best possible ({series.best_possible:.2f})",
    )
    axes.axhline(
        series.popularity, color="#b0403a", linestyle="--", linewidth=1.5, label=f"popularity ({series.popularity:.2f})"
    )
    for number, (start_s, end_s, name) in enumerate(_spans(series)):
        seconds, rate, half = _smoothed(series, start_s, end_s)
        first = number == 0  # only the first release is named, so that the legend does not repeat it
        axes.fill_between(
            seconds,
            rate - half,
            rate + half,
            color=BLUE,
            alpha=0.2,
            linewidth=0,
            label="95 % interval" if first else None,
        )
        axes.plot(seconds, rate, color=BLUE, linewidth=2.2, label=f"measured, last {SMOOTHED_S} s" if first else None)
        axes.axvline(start_s, color="#555555", linewidth=1, linestyle=":")
        axes.annotate(
            name,
            (start_s, 0.98),
            xycoords=("data", "axes fraction"),
            xytext=(5, 0),
            textcoords="offset points",
            va="top",
        )
    axes.set_xlim(0, max(len(series.shown) - 1, 1))
    axes.set_ylim(0, min(1.0, 1.35 * max(series.best_possible, series.popularity)))
    axes.set_xlabel("seconds of traffic")
    axes.set_ylabel("acceptance rate (rankings with an accepted offer)")
    axes.set_title("Acceptance rate of live rankings, release by release")
    axes.grid(alpha=0.25)
    axes.legend(loc="lower right", framealpha=0.9)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _spans(series: Series) -> list[tuple[int, int, str]]:
    ends = [*(int(at_s) for at_s, _ in series.releases[1:]), len(series.shown)]
    return [(int(at_s), end_s, name) for (at_s, name), end_s in zip(series.releases, ends, strict=False)]


def _smoothed(series: Series, start_s: int, end_s: int) -> tuple[Array, Array, Array]:
    shown, accepted = np.array(series.shown[start_s:end_s], float), np.array(series.accepted[start_s:end_s], float)
    window = np.ones(SMOOTHED_S)
    # Cut to the length of the input, a convolution with ones is the sum of the last SMOOTHED_S seconds.
    count = np.maximum(np.convolve(shown, window)[: len(shown)], 1)
    rate = np.convolve(accepted, window)[: len(shown)] / count
    half = Z95 * np.sqrt(rate * (1 - rate) / count)
    settled = slice(min(SETTLED_S, len(shown)), None)  # the first seconds have too few rankings
    return np.arange(start_s, end_s, dtype=float)[settled], rate[settled], half[settled]
