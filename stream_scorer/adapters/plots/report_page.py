"""An evaluation as a single HTML page that needs no other file: verdict, main figures, pictures, tables, examples."""

from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from stream_scorer.adapters.plots.report_plots import (
    ESTIMATES,
    FIGURES,
    GROUP_NAMES,
    auc_plots,
    calibration_plots,
    depth_plots,
    off_policy_plots,
    quality_plots,
    stage_plots,
)
from stream_scorer.core.evaluation.figures import (
    AgainstFigures,
    Compared,
    Evaluation,
    FeatureImportance,
    GroupAuc,
    Importances,
    ModelFigures,
    PolicyValue,
    Slices,
    TwoStages,
)
from stream_scorer.core.evaluation.intervals import Interval, beyond_noise
from stream_scorer.core.evaluation.policies import ModelPolicy
from stream_scorer.core.held_out.beside import Z95, Beside

_BAR_PX = 120
# by the sign of a difference from popularity: a tile's kind, and its words
_STANDINGS = {1: ("better", "above"), -1: ("worse", "below"), 0: ("", "not distinguishable from")}


@dataclass(frozen=True, slots=True)
class Tile:
    """A figure at the top of the page; its `kind` sets the colour: better, worse, greyed, or empty for none."""

    name: str
    figure: str
    note: str
    kind: str = ""


def write_report(path: Path, found: Evaluation) -> None:
    """Write the page of an evaluation, and replace a file that is there already."""
    path.write_text(report_page(found), encoding="utf-8")


def report_page(found: Evaluation) -> str:
    """Return the page of an evaluation as HTML, with its pictures inside."""
    loader = FileSystemLoader(Path(__file__).parent)
    # StrictUndefined makes a misspelt name in the template an error, where jinja2 would print nothing.
    pages = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    model, value = found.model, found.off_policy
    return pages.get_template("report_page.html").render(
        title=f"Evaluation of {'a table of probabilities' if model is None else model.model_id}",
        found=found,
        model=model,
        tiles=list(_tiles(found)),
        pictures=_pictures(found),
        judged_by=list(_judged_by(found)),
        against_rows=[] if model is None or model.against is None else list(_against_rows(model.against)),
        slice_rows=[] if model is None or model.slices is None else list(_slice_rows(model.slices)),
        importance_rows=[] if model is None or model.importances is None else list(_importance_rows(model.importances)),
        coverage="" if model is None else _shares(model.whole_catalog.coverage),
        quality_rows=[] if model is None else list(_quality_rows(model, found.k)),
        beside_rows=[] if model is None else list(_beside_rows(model.whole_catalog.beside)),
        auc_beside_rows=[] if model is None else list(_beside_rows(_by_group(model.within_customer.beside))),
        stage_rows=[] if model is None or model.two_stages is None else list(_stage_rows(model.two_stages)),
        auc_rows=[] if model is None else list(_auc_rows(model)),
        estimate_rows=[] if value is None else list(_estimate_rows(value)),
        fact_rows=[] if model is None else list(_fact_rows(model)),
        policy="" if value is None else _policy(value),
    )


def _tiles(found: Evaluation) -> Iterator[Tile]:
    if (model := found.model) is not None:
        if (ndcg := model.whole_catalog.all.ndcg) is not None:
            yield _tile(f"nDCG@{found.k}, whole catalog", ndcg, model.whole_catalog.all.customers, found.incomparable)
        if (auc := model.within_customer.all).model is not None:
            yield _tile("AUC within customer", auc, auc.customers, found.incomparable)
    if found.off_policy is not None:
        yield _earned(found.off_policy)


def _tile(name: str, figure: Compared | GroupAuc, customers: int, incomparable: str | None) -> Tile:
    model, popularity, above = figure.model, figure.popularity, figure.above_popularity
    assert model is not None, "a figure without a value has no tile"
    assert popularity is not None
    assert above is not None
    if incomparable is not None:  # better or worse would then be a claim that the figures do not support
        return Tile(name, f"{model.value:.4f}", incomparable, "greyed")
    kind, verdict = _STANDINGS[beyond_noise(above, customers)]
    note = f"{verdict} popularity's {popularity.value:.4f}: {above.value:+.4f} [{above.low:+.4f}, {above.high:+.4f}]"
    return Tile(name, f"{model.value:.4f}", note, kind)


def _earned(value: PolicyValue) -> Tile:
    best, logged = value.estimate.doubly_robust, value.estimate.logged
    name = f"{value.unit}, off-policy"
    if best is None or logged is None:
        return Tile(name, "refused", value.estimate.refused or "")
    kind = "better" if best.low > logged.value else "worse" if best.high < logged.value else ""
    note = f"[{best.low:.4f}, {best.high:.4f}], doubly robust; as logged {logged.value:.4f}"
    return Tile(name, f"{best.value:.4f}", note, kind)


def _pictures(found: Evaluation) -> dict[str, list[str]]:
    """Draw all pictures, each panel as SVG in base64; a list is empty where there is nothing to draw."""
    model, value = found.model, found.off_policy
    drawn: dict[str, list[bytes]] = {
        "depth": [] if model is None else depth_plots(model.whole_catalog),
        "quality": [] if model is None else quality_plots(model.whole_catalog, found.k),
        "auc": [] if model is None else auc_plots(model),
        "stages": [] if model is None else stage_plots(model.two_stages),
        "calibration": [] if model is None else calibration_plots(model.calibration),
        "off_policy": [] if value is None else off_policy_plots(value),
    }
    return {name: [b64encode(svg).decode() for svg in panels] for name, panels in drawn.items()}


def _judged_by(found: Evaluation) -> Iterator[tuple[str, str]]:
    """Yield what was judged, by which labels and when, as names and values."""
    span = found.span
    if span is not None and span.evaluated_at_ms is not None:
        yield "evaluated", _time(span.evaluated_at_ms)
    if span is not None and span.labels is not None:
        yield "labels", span.labels if span.seen is None else f"{span.labels}, seen before: {span.seen}"
    if span is not None and span.from_ms is not None and span.until_ms is not None:
        yield "requests", f"{_time(span.from_ms)} to {_time(span.until_ms)}"
    rows = f"{found.rows:,} judged, {found.accepted:,} accepted"
    yield "rows", f"{rows}; {found.refused_rows:,} left out, as they do not fit" if found.refused_rows else rows
    yield "customers, offers", f"{found.customers:,} customers, {found.catalog_offers:,} offers in the catalog"


def _time(time_ms: int) -> str:
    """Return a time in UTC; one beyond the years that datetime knows as it is."""
    try:
        return datetime.fromtimestamp(time_ms / 1_000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, ValueError, OSError):
        return f"{time_ms} ms"


def _stage_rows(found: TwoStages) -> Iterator[list[str]]:
    for title, one in (("nDCG@10", found.ndcg), ("AUC", found.auc)):
        yield [title, _interval(one.towers), _interval(one.both), _difference(one.above)]


def _against_rows(found: AgainstFigures) -> Iterator[list[str]]:
    for one in found.figures:
        above = one.above_other
        verdict = _STANDINGS[beyond_noise(above, one.customers)][0] or "no difference beyond noise"
        title = f"{one.figure} ({one.customers:,} customers)"
        yield [title, _interval(one.model), _interval(one.other), _difference(above), verdict]


def _slice_rows(found: Slices) -> Iterator[list[str]]:
    for one in found.slices:
        figures = [_interval(one.model), _interval(one.popularity), _difference(one.above_popularity)]
        yield [f"{one.feature}: {one.value}", f"{one.rows:,}", f"{one.customers:,}", *figures]


def _importance_rows(found: Importances) -> Iterator[tuple[FeatureImportance, str, int]]:
    """Yield each feature with its fall as text, and the length of its bar in pixels."""
    largest = max((one.drop.value for one in found.features), default=0.0)
    for one in found.features:
        share = max(0.0, one.drop.value) / largest if largest > 0 else 0.0
        yield one, _difference(one.drop), round(_BAR_PX * share)


def _difference(interval: Interval | None) -> str:
    return "" if interval is None else f"{interval.value:+.4f} [{interval.low:+.4f}, {interval.high:+.4f}]"


def _quality_rows(model: ModelFigures, k: int) -> Iterator[list[str]]:
    for group, quality in model.whole_catalog.groups().items():
        for name, title in FIGURES.items():
            figure: Compared = getattr(quality, name)
            cells = (figure.model, figure.popularity, figure.random, figure.above_popularity)
            yield [f"{title}@{k}, {GROUP_NAMES[group]}", *map(_interval, cells)]


def _auc_rows(model: ModelFigures) -> Iterator[list[str]]:
    for name, group in model.within_customer.groups().items():
        title = f"{GROUP_NAMES[name]} ({group.customers:,} customers)"
        yield [title, *map(_interval, (group.model, group.popularity, group.above_popularity))]


def _by_group(beside: Beside | None) -> dict[str, Beside]:
    return {} if beside is None else {"all": beside}


def _beside_rows(groups: Mapping[str, Beside]) -> Iterator[list[str]]:
    """Yield a row for each trivial ranking of each group, the best ranking of a group first."""
    for group, found in groups.items():
        for one in sorted(found.trivial, key=lambda one: -one.value):
            above = f"{one.model_above:+.4f} ± {Z95 * one.standard_error:.4f}"
            yield [f"{found.figure}, {GROUP_NAMES[group]}: {one.name}", f"{one.value:.4f}", f"{found.model:.4f}", above]


def _estimate_rows(value: PolicyValue) -> Iterator[list[str]]:
    for key, name in ESTIMATES.items():
        if (interval := getattr(value.estimate, key)) is not None:
            yield [name, _interval(interval)]


def _fact_rows(model: ModelFigures) -> Iterator[list[str]]:
    for name, value in model.facts.items():
        if value is not None:
            yield [name.replace("_", " "), _fact(value)]


def _fact(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_fact(one)}" for name, one in value.items() if one is not None)
    # A bool is an int to isinstance, and would be printed as 1 or 0.
    return f"{value:.4g}" if isinstance(value, float) else f"{value:,}" if type(value) is int else str(value)


def _policy(value: PolicyValue) -> str:
    if not isinstance(value.policy, ModelPolicy):
        return value.policy
    return ", ".join(f"{name} {one:g}" for name, one in asdict(value.policy).items())


def _shares(coverage: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {share:.1%}" for name, share in coverage.items())


def _interval(interval: Interval | None) -> str:
    return "" if interval is None else f"{interval.value:.4f} [{interval.low:.4f}, {interval.high:.4f}]"
