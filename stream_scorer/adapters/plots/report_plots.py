"""The pictures of an evaluation as SVG: whole rankings, AUC within customers, calibration, off-policy estimates.

Each panel is a picture of its own, so that a narrow screen can put them below each other instead of shrinking them.
"""

import io
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from stream_scorer.core.evaluation.calibration import Calibration
from stream_scorer.core.evaluation.figures import ModelFigures, PeriodAuc, PolicyValue, TwoStages, WholeCatalog
from stream_scorer.core.evaluation.intervals import Interval
from stream_scorer.core.held_out.beside import Z95

COLOURS = {"model": "#24588f", "popularity": "#b0403a", "random": "#8a8a8a"}
FIGURES = {"recall": "recall", "precision": "precision", "ndcg": "nDCG", "average_precision": "MAP"}
GROUP_NAMES = {"all": "all", "new_customers": "new customers", "new_offers": "new offers"}
ESTIMATES = {
    "logged": "as logged",
    "ips": "IPS",
    "snips": "SNIPS",
    "doubly_robust": "doubly robust",
    "direct": "direct method",
}
_INK = "#333333"


def depth_plots(whole: WholeCatalog) -> list[bytes]:
    """Draw recall and nDCG by the number of places; nothing where no customer has a relevant offer."""
    if not whole.by_depth:
        return []
    drawn = []
    for name, title in (("recall", "recall"), ("ndcg", "nDCG")):
        figure, axes = _panel()
        for who, colour in COLOURS.items():
            curve = getattr(whole.by_depth[who], name)
            value, half = np.array(curve.value), np.array(curve.half_width)
            depths = np.arange(1, len(value) + 1)
            axes.fill_between(depths, value - half, value + half, color=colour, alpha=0.15, linewidth=0)
            axes.plot(depths, value, color=colour, linewidth=2, marker="o", markersize=3.5, label=who)
        axes.set_xlabel("places")
        axes.set_xlim(0.6, len(depths) + 0.4)
        axes.set_ylim(0, None)
        axes.set_title(f"{title} of the first places, whole catalog")
        drawn.append(_svg(figure, axes))
    return drawn


def quality_plots(whole: WholeCatalog, k: int) -> list[bytes]:
    """Draw each figure of whole rankings with its interval, by group; nothing where no group has customers."""
    groups = whole.groups()
    drawn = []
    for name, title in FIGURES.items() if groups else ():
        figure, axes = _panel(height=1.4 + 0.75 * len(groups))
        for place, group in enumerate(groups.values()):
            # Shifted a little, so that the intervals of a group do not cover each other.
            for shift, who in zip((-0.22, 0.0, 0.22), COLOURS, strict=True):
                interval = getattr(getattr(group, name), who)
                _whisker(axes, interval, place + shift, COLOURS[who], label=who if not place else None)
        _named_rows(axes, [f"{GROUP_NAMES[each]}\n{group.customers:,} customers" for each, group in groups.items()])
        axes.set_xlim(0, None)
        axes.set_title(f"{title}@{k}")
        drawn.append(_svg(figure, axes))
    return drawn


def auc_plots(model: ModelFigures) -> list[bytes]:
    """Draw the AUC within customers by group, and over time; nothing where no group has figures."""
    within = model.within_customer.groups()
    if not within:
        return []
    figure, axes = _panel(height=1.4 + 0.75 * len(within))
    for place, group in enumerate(within.values()):
        for shift, who in zip((-0.14, 0.14), ("model", "popularity"), strict=True):
            _whisker(axes, getattr(group, who), place + shift, COLOURS[who], label=who if not place else None)
    _named_rows(axes, [f"{GROUP_NAMES[name]}\n{group.customers:,} customers" for name, group in within.items()])
    axes.axvline(0.5, color=COLOURS["random"], linestyle="--", linewidth=1, label="random")
    axes.set_title("AUC within customer")
    over_time, right = _panel()
    _over_time(right, model.by_time)
    return [_svg(figure, axes), _svg(over_time, right)]


def stage_plots(found: TwoStages | None) -> list[bytes]:
    """Draw both stages beside each other, by nDCG and AUC within requests; nothing without a re-ranker."""
    drawn = []
    figures = () if found is None else (("nDCG@10", found.ndcg), ("AUC", found.auc))
    for title, one in figures:
        figure, axes = _panel(height=2.2)
        _whisker(axes, one.towers, 0, COLOURS["random"])
        _whisker(axes, one.both, 1, COLOURS["model"])
        _named_rows(axes, ["towers alone", "both stages"])
        axes.set_title(f"{title} within requests")
        drawn.append(_svg(figure))
    return drawn


def _over_time(axes: Any, periods: Sequence[PeriodAuc]) -> None:
    places = np.arange(len(periods))
    for shift, who in zip((-0.06, 0.06), ("model", "popularity"), strict=True):
        intervals = [getattr(one, who) for one in periods]
        value, low, high = (np.array([getattr(one, part) for one in intervals]) for part in ("value", "low", "high"))
        axes.errorbar(
            places + shift,
            value,
            [value - low, high - value],
            color=COLOURS[who],
            marker="o",
            markersize=4,
            capsize=2,
            label=who,
        )
    axes.axhline(0.5, color=COLOURS["random"], linestyle="--", linewidth=1)
    axes.set_xticks(places, [_when(one.from_ms) for one in periods], fontsize=8)
    axes.set_title("AUC within customer, over time (UTC)")


def _when(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1_000, UTC).strftime("%Y-%m-%d\n%H:%M:%S")


def calibration_plots(found: Calibration | None) -> list[bytes]:
    """Draw acceptance rates against predictions, and the gains curve; nothing where there is no calibration."""
    if found is None:
        return []
    rows, predicted, accepted = (
        np.array([getattr(one, name) for one in found.bins], float) for name in ("rows", "predicted", "accepted")
    )
    figure, axes = _panel(height=4.2)
    end = 1.08 * max(predicted.max(), accepted.max())
    low, high = _wilson(accepted, rows)
    axes.plot([0, end], [0, end], color=COLOURS["random"], linestyle="--", linewidth=1, label="perfect")
    axes.errorbar(
        predicted,
        accepted,
        [accepted - low, high - accepted],
        color=COLOURS["model"],
        marker="o",
        markersize=5,
        capsize=2,
        label="model",
    )
    axes.set_xlabel("predicted odds of an acceptance (tenths of the rows)")
    axes.set_ylabel("accepted")
    axes.set_xlim(0, end)
    axes.set_ylim(0, max(end, 1.02 * high.max()))
    axes.set_title("calibration")
    rest, gains = _panel(height=4.2)
    _gains(gains, rows[::-1], accepted[::-1])  # the bins ascend, and gains start from the best predictions
    return [_svg(figure, axes), _svg(rest)]


def _gains(axes: Any, rows: Any, accepted: Any) -> None:
    """Draw the share of all acceptances among the best predictions; the bins (b,) come best first."""
    seen, taken = (np.concatenate([[0.0], np.cumsum(one) / one.sum()]) for one in (rows, rows * accepted))
    axes.plot([0, 1], [0, 1], color=COLOURS["random"], linestyle="--", linewidth=1)
    axes.plot(seen, taken, color=COLOURS["model"], linewidth=2, marker="o", markersize=4)
    axes.set_xlabel("share of the rows, the best predictions first")
    axes.set_ylabel("share of all acceptances")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    axes.set_title("gains")


def off_policy_plots(value: PolicyValue) -> list[bytes]:
    """Draw what the policy would have earned by each estimator, beside the logged value; nothing without estimates."""
    found = value.estimate
    names = [name for name in ESTIMATES if getattr(found, name)]
    if found.logged is None or not names:
        return []
    figure, axes = _panel(height=1.0 + 0.42 * len(names))
    for place, name in enumerate(names):
        colour = _INK if name == "logged" else COLOURS["model"] if name != "direct" else "#7aa5cf"
        _whisker(axes, getattr(found, name), place, colour)
    _named_rows(axes, [ESTIMATES[name] for name in names])
    axes.axvline(found.logged.value, color=_INK, linestyle=":", linewidth=1)
    axes.set_xlabel(value.unit)
    axes.set_title("what the policy would have earned")
    return [_svg(figure)]


def _panel(height: float = 3.4) -> tuple[Any, Any]:
    """Return a figure as wide as a phone's screen, in inches, and its axes."""
    import matplotlib as mpl

    mpl.use("Agg")  # draws to memory, so no display is needed
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(5.2, height), layout="constrained")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _whisker(axes: Any, interval: Interval, y: float, colour: str, *, label: str | None = None) -> None:
    value, low, high = interval.value, interval.low, interval.high
    axes.errorbar(
        [value],
        [y],
        xerr=[[value - low], [high - value]],
        color=colour,
        marker="o",
        markersize=5,
        capsize=2.5,
        label=label,
    )


def _named_rows(axes: Any, names: list[str]) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)  # the axis runs downwards, so the first row is on top


def _wilson(share: Any, count: Any) -> tuple[Any, Any]:
    """Return the 95 % interval of a share of `count` independent rows (Wilson 1927)."""
    z2 = Z95**2
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = Z95 / (1 + z2 / count) * np.sqrt(share * (1 - share) / count + z2 / (4 * count**2))
    # At a share of 0 or 1, rounding may put a bound on the wrong side, and matplotlib refuses negative error bars.
    return np.minimum(middle - half, share), np.maximum(middle + half, share)


def _svg(figure: Any, named: Any = None) -> bytes:
    """Return the picture as SVG, and close it; a legend below it names the curves of the panel `named`."""
    from matplotlib import pyplot as plt

    if named is not None:
        handles, labels = named.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    made = io.BytesIO()
    # A fixed salt for the ids and no date, so that the same report gives the same bytes.
    with plt.rc_context({"svg.hashsalt": "report"}):
        figure.savefig(made, format="svg", metadata={"Date": None}, transparent=True)  # the page has light and dark
    plt.close(figure)
    return made.getvalue()
