"""What a training says, in lines: trials and epochs as they end, then what the towers read and how they were judged."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from stream_scorer.cli.judged import asked_line, beside_lines
from stream_scorer.core.held_out.beside import Z95

if TYPE_CHECKING:
    from stream_scorer.training.lesson import Epoch


def trial_line(trial: Mapping[str, Any]) -> str:
    """Describe a trial of the search for settings."""
    from stream_scorer.services.learning.trials import setting_text

    figure = f"{trial['figure']} {abs(trial['badness']):.4f}"
    ended = f"{trial['epochs']} epochs, {trial['seconds']:.1f} s, {trial['ended']}"
    return f"{setting_text(trial['setting']) or 'as given'}: {figure} ({ended}){', kept' if trial['kept'] else ''}"


def epoch_line(epoch: "Epoch") -> str:
    """Describe an epoch by its loss, and by what it reaches on the rows held out."""
    held_out = "" if epoch.held_out_loss is None else f"  held out {epoch.held_out_loss:.4f}"
    auc = "" if epoch.held_out_auc is None else f"  AUC {epoch.held_out_auc:.3f}"
    ndcg = "" if epoch.held_out_ndcg is None else f"  nDCG@10 {epoch.held_out_ndcg:.4f}"
    return f"loss {epoch.loss:.4f}{held_out}{auc}{ndcg}"


def fact_lines(facts: Mapping[str, Any]) -> Iterator[str]:
    """Describe a model by its facts."""
    yield from _inputs(facts)
    yield from _summary(facts)


def _inputs(facts: Mapping[str, Any]) -> Iterator[str]:
    from stream_scorer.core.features.stated_inputs import StatedInput

    for stated in facts.get("inputs", ()):
        yield f"reads {StatedInput(**stated).line()}"


def _summary(facts: Mapping[str, Any]) -> Iterator[str]:
    ours, popular = facts["held_out_auc"], facts["popularity_auc"]
    yield (
        f"{facts['rows']:,} rows, {facts['positives']:,} accepted, {facts['customers']:,} customers, "
        f"{facts['catalog_offers']:,} offers"
    )
    if facts["refused_rows"]:
        yield f"{facts['refused_rows']:,} rows left out: their features do not fit"
    if outside := facts.get("rows_outside_catalog"):
        yield f"{outside:,} rows are of offers that are not in the catalog"
    trained_on = f", trained on {facts['device']}" if "device" in facts else ""
    yield f"objective {facts['objective']}, {_kept(facts)}{trained_on}"
    if facts["held_out_loss"] is not None:
        yield f"held out: {facts['held_out_rows']:,} rows, loss {facts['held_out_loss']:.4f}"
    if judged := facts.get("judged"):
        yield from _judged(judged)
    if tuning := facts.get("tuning"):
        yield f"tuned for {tuning['seconds']:.1f} s: {tuning['outcome']}"
        yield from (f"  {trial_line(trial)}" for trial in facts["tuned"])
    if reranker := facts.get("reranker"):
        yield from _reranker(reranker)
    if (members := facts.get("options", {}).get("members", 1)) > 1:
        yield f"{members} towers side by side; the figures of epochs are those of one of them"
    if ours["within_customer"] is not None:
        error = f" ± {Z95 * ours['standard_error']:.3f}" if ours["standard_error"] is not None else ""
        yield f"AUC within customer {ours['within_customer']:.3f}{error}, popularity {popular['within_customer']:.3f}"


def _reranker(facts: Mapping[str, Any]) -> Iterator[str]:
    """Say which re-ranker was trained, and what it adds to the towers on the held-out requests."""
    if "size" not in facts:
        yield f"re-ranker: none, since {facts['reason']}"
        return
    yield f"re-ranker: {facts['size']}, {facts['requests']:,} requests{'' if facts['kept'] else ', left out'}"
    if counts := facts.get("counts"):
        yield f"  counts it reads: {', '.join(counts)}"
    for name, figure in facts["tried"].items():
        yield f"  {name}: nDCG@10 {figure:.4f} of the latest fifth"
    judged = facts["judged"] or {}
    for title in ("ndcg", "auc"):
        if one := judged.get(title):
            above = f"{one['above']['value']:+.4f} [{one['above']['low']:+.4f}, {one['above']['high']:+.4f}]"
            name = {"ndcg": "nDCG@10", "auc": "AUC within request"}[title]
            yield f"  {name}: towers {one['towers']['value']:.4f}, both stages {one['both']['value']:.4f}: {above}"


def _kept(facts: Mapping[str, Any]) -> str:
    """Say which epoch was kept or, of a decomposition, which has none, which of the forms of vectors tried."""
    if facts.get("options", {}).get("spectral"):
        return f"decomposed, form {facts['best_epoch']} of {facts['epochs']} tried kept"
    return f"epoch {facts['best_epoch']:g} of {facts['epochs']} kept"


def _judged(judged: Mapping[str, Any]) -> Iterator[str]:
    if judged["among"] == "catalog":
        yield f"judged among the whole catalog: {asked_line(judged)}"
    yield from (f"  {line}" for line in beside_lines(judged))
