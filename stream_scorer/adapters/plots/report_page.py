"""An evaluation as one page of HTML that needs nothing else: what it comes to, the pictures, the figures."""

import html
from base64 import b64encode
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from stream_scorer.adapters.plots.report_plots import (
    ESTIMATES,
    FIGURES,
    GROUPS,
    auc_plot,
    calibration_plot,
    depth_plot,
    off_policy_plot,
    quality_plot,
)

Report = Mapping[str, Any]

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 1120px; margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.5em; margin-bottom: 0.1em; } h2 { font-size: 1.15em; margin-top: 2em; border-bottom: 1px solid #ddd; }
.tiles { display: flex; flex-wrap: wrap; gap: 12px; margin: 1.2em 0; }
.tile { border: 1px solid #ddd; border-left: 5px solid #8a8a8a; border-radius: 4px; padding: 8px 14px; min-width: 180px; flex: 1; }
.tile.better { border-left-color: #2a9d5c; } .tile.worse { border-left-color: #b0403a; }
.tile b { display: block; font-size: 1.35em; } .tile span, .note { color: #666; font-size: 0.9em; }
table { border-collapse: collapse; margin: 0.8em 0; font-size: 0.92em; } img { max-width: 100%; display: block; margin: 0.8em 0; }
th, td { text-align: right; padding: 3px 14px 3px 0; border-bottom: 1px solid #eee; font-variant-numeric: tabular-nums; }
th:first-child, td:first-child { text-align: left; } .refused { color: #b0403a; font-weight: 600; }
"""


def write_report(path: Path, report: Report) -> None:
    """Write the page of an evaluation's report."""
    path.write_text(report_page(report), encoding="utf-8")


def report_page(report: Report) -> str:
    """Return the page."""
    title = f"Evaluation of {html.escape(str(report['model_id']))}"
    sections = "\n".join(
        [
            *_summary(report),
            *_catalog(report),
            *_within(report),
            *_calibration(report),
            *_off_policy(report),
            *_model(report),
        ]
    )
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title><style>{_STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body><h1>{title}</h1>\n{sections}\n</body></html>\n'


def _summary(report: Report) -> Iterator[str]:
    counts = f"{report['rows']:,} rows, {report['accepted']:,} accepted, {report['customers']:,} customers"
    counts += f", {report['catalog_offers']:,} offers"
    refused = (
        f"; {report['refused_rows']:,} rows left out, as their features do not fit" if report["refused_rows"] else ""
    )
    yield f'<p class="note">Judged by {counts}{refused}. Intervals are 95 %, by bootstrap over customers, or requests.</p>'
    yield '<div class="tiles">'
    whole = report["whole_catalog"]
    if whole["customers"]:
        yield _tile(f"nDCG@{report['k']}, whole catalog", whole["all"]["ndcg"])
    if report["within_customer"]["all"]["model"]:
        yield _tile("AUC within customer", report["within_customer"]["all"])
    if found := report["off_policy"]:
        yield _earned(found)
    yield "</div>"


def _tile(name: str, found: Report) -> str:
    above, popularity = found["above_popularity"], found["popularity"]["value"]
    kind, word = (
        ("better", "above") if above["low"] > 0 else ("worse", "below") if above["high"] < 0 else ("", "not told from")
    )
    said = f"{word} popularity's {popularity:.4f}: {above['value']:+.4f} [{above['low']:+.4f}, {above['high']:+.4f}]"
    return f'<div class="tile {kind}"><span>{name}</span><b>{found["model"]["value"]:.4f}</b><span>{said}</span></div>'


def _earned(found: Report) -> str:
    best, logged = found["doubly_robust"], found["logged"]
    name = f"{html.escape(found['unit'])}, off-policy"
    if best is None:
        return f'<div class="tile"><span>{name}</span><b>refused</b><span>{html.escape(found["refused"])}</span></div>'
    kind = "better" if best["low"] > logged["value"] else "worse" if best["high"] < logged["value"] else ""
    said = f"[{best['low']:.4f}, {best['high']:.4f}], doubly robust; as logged {logged['value']:.4f}"
    return f'<div class="tile {kind}"><span>{name}</span><b>{best["value"]:.4f}</b><span>{said}</span></div>'


def _catalog(report: Report) -> Iterator[str]:
    whole = report["whole_catalog"]
    yield "<h2>Rankings of the whole catalog</h2>"
    if not whole["customers"]:
        yield '<p class="note">No customer accepted an offer anew, so there is nothing to rank for.</p>'
        return
    yield f'<p class="note">{whole["customers"]:,} customers who accepted an offer anew; what they had accepted before is not ranked.'
    yield "Customers accept only what they are shown: where the log showed popular offers, popularity looks better here than it is.</p>"
    yield _picture(depth_plot(report), "recall and nDCG by places")
    yield _picture(quality_plot(report), "figures by group")
    rows = []
    for group, name in GROUPS.items():
        found = whole[group]
        if found["customers"]:
            rows += [[f"{title}@{report['k']}, {name}", *_triple(found[figure])] for figure, title in FIGURES.items()]
    yield _table(["", "model", "popularity", "random", "difference"], rows)
    shares = ", ".join(f"{name} {share:.1%}" for name, share in whole["coverage"].items())
    yield f"<p>Coverage, the share of the catalog that is in anybody's first {report['k']}: {shares}.</p>"


def _triple(found: Report) -> list[str]:
    return [_interval(found[name]) for name in ("model", "popularity", "random", "above_popularity")]


def _within(report: Report) -> Iterator[str]:
    yield "<h2>Order within customers</h2>"
    yield '<p class="note">How often an offer that a customer accepted scores above one that the same customer did not.</p>'
    yield _picture(auc_plot(report), "AUC within customer, by group and over time")
    rows = [
        [
            f"{GROUPS[name]} ({found['customers']:,} customers)",
            *(_interval(found[one]) for one in ("model", "popularity", "above_popularity")),
        ]
        for name, found in report["within_customer"].items()
        if found["model"]
    ]
    yield _table(["AUC", "model", "popularity", "difference"], rows)


def _calibration(report: Report) -> Iterator[str]:
    yield "<h2>Calibration</h2>"
    found = report["calibration"]
    if not found:
        yield '<p class="note">Too few labels of either kind.</p>'
        return
    yield '<p class="note">Scores made into odds by a logistic curve, fitted on one half of the customers and judged on the other.</p>'
    yield _picture(calibration_plot(report), "accepted by predicted odds")
    yield (
        f"<p>Mean gap {found['error']:.4f}; log loss {found['log_loss']:.4f}, of always saying the mean {found['base_log_loss']:.4f}.</p>"
    )


def _off_policy(report: Report) -> Iterator[str]:
    yield "<h2>Off-policy</h2>"
    found = report["off_policy"]
    if not found:
        yield '<p class="note">The labels have no propensities (rank.exploration logs them).</p>'
        return
    policy = found["policy"]
    stated = (
        policy
        if isinstance(policy, str)
        else ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in policy.items())
    )
    yield f'<p class="note">Target policy: {html.escape(stated)}; {found["requests"]:,} rankings of up to {found["places"]} places.</p>'
    if found["refused"]:
        yield f'<p class="refused">Refused: {html.escape(found["refused"])}.</p>'
    if found["logged"] is None:
        return
    yield _picture(off_policy_plot(report), "estimates with intervals")
    yield _table(["", found["unit"]], [[name, _interval(found[key])] for key, name in ESTIMATES.items() if found[key]])
    yield (
        f"<p>Effective sample size {found['effective_sample_size']:,.0f}, largest weight {found['largest_weight']:,.1f}, "
        f"mean weight {found['mean_weight']:.3f} (1 where the log lacks nothing). The direct method's interval does not hold what its "
        "model gets wrong.</p>"
    )


def _model(report: Report) -> Iterator[str]:
    yield "<h2>The model</h2>"
    rows = [[name.replace("_", " "), _said(value)] for name, value in report["facts"].items() if value is not None]
    yield _table(["fact", "value"], rows)


def _said(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_said(one)}" for name, one in value.items() if one is not None)
    return f"{value:.4g}" if isinstance(value, float) else f"{value:,}" if type(value) is int else str(value)


def _interval(found: Report | None) -> str:
    return "" if found is None else f"{found['value']:.4f} [{found['low']:.4f}, {found['high']:.4f}]"


def _picture(svg: bytes | None, name: str) -> str:
    return "" if svg is None else f'<img alt="{name}" src="data:image/svg+xml;base64,{b64encode(svg).decode()}">'


def _table(head: list[str], rows: list[list[str]]) -> str:
    top = "".join(f"<th>{html.escape(one)}</th>" for one in head)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{top}</tr>{body}</table>"
