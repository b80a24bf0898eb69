"""`stream-scorer evaluate`."""

import sys
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stream_scorer.cli.options import FromBuffer, Json, labelled, of_setting, refuse_given, settings_of

if TYPE_CHECKING:
    from stream_scorer.core.evaluation.calibration import Choices
    from stream_scorer.core.evaluation.figures import (
        AgainstFigures,
        Compared,
        Evaluation,
        GroupAuc,
        GroupQuality,
        ModelFigures,
        PolicyValue,
    )
    from stream_scorer.core.evaluation.intervals import Interval


def evaluate(
    ctx: typer.Context,
    *,
    offers: Annotated[Path, typer.Option(help="The catalog: JSON lines, CSV or Parquet.")],
    model: Annotated[
        Path | None, typer.Option(show_default=False, help="A model's folder; --policy needs none.")
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            show_default=False,
            help="Labelled examples to judge by: Parquet or JSON lines, a folder, s3:// or iceberg://.",
        ),
    ] = None,
    from_buffer: FromBuffer = False,
    seen: Annotated[
        str | None,
        typer.Option(
            show_default=False,
            help="Examples that the model could learn from, where they lie apart; all --labels are then judged.",
        ),
    ] = None,
    k: Annotated[int, typer.Option(min=1, max=10_000, help="How many places of a ranking count.")] = 10,
    held_out: Annotated[
        float,
        typer.Option(
            min=0.001, max=0.999, help="Without --seen: the share of the labels, the latest ones, that is judged."
        ),
    ] = 0.2,
    policy: Annotated[
        Path | None,
        typer.Option(
            show_default=False,
            help="Estimate off-policy what this table (offer_id, rank, probability) would earn, by all labels.",
        ),
    ] = None,
    temperature: Annotated[
        float, typer.Option(min=0, help="Off-policy: temperature of the softmax over scores; 0: always the best offer.")
    ] = 0.0,
    floor: Annotated[
        float, typer.Option(min=0, max=1, help="Off-policy: epsilon, the probability of a draw that ignores scores.")
    ] = 0.0,
    pool: Annotated[
        int, typer.Option(min=1, max=10_000, help="Off-policy: how many of the best offers are drawn from.")
    ] = 100,
    shortlist: Annotated[int | None, of_setting("rank.shortlist", min=1, max=1_000)] = None,
    ess_min: Annotated[
        float, typer.Option(min=1, help="Off-policy: give no estimate below this effective sample size.")
    ] = 100.0,
    weight_max: Annotated[
        float, typer.Option(min=1, help="Off-policy: the largest importance weight; larger ones are cut to it.")
    ] = 1e9,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstrap and of everything that is drawn.")] = 0,
    against: Annotated[
        Path | None,
        typer.Option(show_default=False, help="Another model's folder, compared with --model customer by customer."),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            show_default=False, help="Also write a page to this .html file: verdict, curves, slices, examples."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure a model on labelled examples, beside orders that cost nothing: popularity and a random one among them."""
    from rich.console import Console

    from stream_scorer.adapters.files.offer_files import read_offers, read_policy
    from stream_scorer.adapters.local.clock import SystemClock
    from stream_scorer.cli.options import check_writable
    from stream_scorer.cli.tower_sources import stored_model
    from stream_scorer.core.evaluation.figures import JudgedSpan
    from stream_scorer.core.evaluation.policies import ModelPolicy
    from stream_scorer.services.learning.evaluator import (
        EvaluateOptions,
        OffPolicyOptions,
        evaluate_model,
        evaluate_table,
    )
    from stream_scorer.wiring.labels import labels_at

    _check_asked(ctx, model, policy, seen, against)
    check_writable(report, "--report")
    stated = read_offers(offers)
    target = read_policy(policy, stated) if policy else ModelPolicy(temperature, floor, pool)
    place = labelled(ctx, labels, from_buffer)
    span = JudgedSpan(place, seen, SystemClock().now_ms())
    settings = settings_of(ctx, {"rank.shortlist": shortlist})
    off_policy = OffPolicyOptions(target, ess_min, weight_max)
    options = EvaluateOptions(k, held_out, seed, off_policy, span, settings.rank.shortlist)
    other = None if against is None else stored_model(settings, against)
    known_model = None if model is None else stored_model(settings, model)
    waiting = Console(stderr=True).status("judging")
    with waiting, labels_at(place) as judged, labels_at(seen) if seen else nullcontext() as known:
        if known_model is None:
            found = evaluate_table(stated, judged, options)
        else:
            found = evaluate_model(known_model, stated, judged, known, options, other=other)
    if report is not None:
        from stream_scorer.adapters.plots.report_page import write_report

        write_report(report, found)
    _tell(found, as_json)


def _check_asked(
    ctx: typer.Context, model: Path | None, policy: Path | None, seen: str | None, against: Path | None
) -> None:
    from stream_scorer.errors import UsageError

    if model is None and policy is None:
        raise UsageError("evaluate needs --model DIR or --policy TABLE")
    if model is None and seen is not None:
        raise UsageError("--seen names what a model could learn from: it needs --model")
    if model is None and against is not None:
        raise UsageError("--against compares two models: it needs --model")
    if model is None:
        refuse_given(
            ctx,
            {"k", "held_out", "shortlist"},
            "a --policy alone is judged by all labels, and by what it would have earned",
        )
    if seen is not None:
        refuse_given(ctx, {"held_out"}, "with --seen, all of --labels are judged")
    if policy is not None:
        refuse_given(ctx, {"temperature", "floor", "pool"}, "the table of --policy has its own probabilities")


def _tell(found: "Evaluation", as_json: bool) -> None:
    import json

    for caution in found.cautions:
        print(f"caution: {caution}", file=sys.stderr)
    if as_json:
        print(json.dumps(found.to_json()))
        return
    for line in _lines(found):
        print(line)


def _lines(found: "Evaluation") -> Iterator[str]:
    if (verdict := found.verdict) is not None:
        yield f"publish: {verdict.publish}; {'; '.join(verdict.reasons)}"
    yield f"{found.rows:,} rows, {found.accepted:,} accepted"
    yield f"{found.customers:,} customers, {found.catalog_offers:,} offers"
    if found.refused_rows:
        yield f"{found.refused_rows:,} rows left out: their features do not fit"
    if found.model is not None:
        yield from _model_lines(found.model, found.k, comparable=found.incomparable is None)
        yield from _against_lines(found.model.against)
    yield from _off_policy(found.off_policy)


def _model_lines(model: "ModelFigures", k: int, *, comparable: bool) -> Iterator[str]:
    from stream_scorer.cli.judged import asked_line, beside_lines

    whole, calibration = model.whole_catalog, model.calibration
    if whole.customers:
        yield f"\nwhole catalog, first {k}, {whole.customers:,} customers"
        yield f"  {asked_line(asdict(whole))}"
        for name, group in whole.groups().items():
            yield from _group(group, name.replace("_", " "), k, comparable=comparable)
        yield from (f"  {line}" for line in beside_lines(asdict(whole)))
        yield "  coverage" + "".join(f"   {name} {share:.1%}" for name, share in whole.coverage.items())
    if within := model.within_customer.groups():
        yield "\nAUC within customer"
    for name, each in within.items():
        both = _both(each, each.customers, comparable=comparable)
        yield f"  {name.replace('_', ' '):<14} {both}, {each.customers:,} customers"
    if (beside := model.within_customer.beside) is not None:
        yield from (f"  {line}" for line in beside_lines({"beside": {"all": asdict(beside)}}))
    if (stages := model.two_stages) is not None:
        yield f"\ntwo stages, within {stages.requests:,} requests of {stages.pairs:,} offers in all"
        for title, one in (("nDCG@10", stages.ndcg), ("AUC", stages.auc)):
            above = f"{one.above.value:+.4f} [{one.above.low:+.4f}, {one.above.high:+.4f}]"
            yield f"  {title:<8} towers {_interval(one.towers)}, both {_interval(one.both)}: {above}"
    yield from _choice_lines(model.choices)
    if calibration is not None:
        loss = f"log loss {calibration.log_loss:.4f}, of the mean alone {calibration.base_log_loss:.4f}"
        yield f"\ncalibration error {calibration.error:.4f}, {loss}"


def _choice_lines(found: "Choices | None") -> Iterator[str]:
    if found is None:
        return
    yield f"\nchoices within requests, {found.requests:,} of several offers with one accepted"
    if found.reason is not None:
        yield f"  {found.reason}"
    for name, one in (("final scores", found.final), ("popularity", found.popularity)):
        if one is not None:
            yield f"  {name:<13} log loss {_interval(one.log_loss)}, top-1 {_interval(one.top_1)}"
    if found.uniform_log_loss is not None:
        yield f"  {'equal odds':<13} log loss {found.uniform_log_loss:.4g}"


def _against_lines(found: "AgainstFigures | None") -> Iterator[str]:
    if found is None:
        return
    yield f"\nagainst {found.model_id}, {found.rows:,} rows that both read, paired by customer"
    if found.customers_left_out:
        yield f"  {found.customers_left_out:,} customers left out, of whom the models read different rows"
    if found.incomparable is not None:
        yield f"  not comparable: {found.incomparable}"
    for one in found.figures:
        above = f"{one.above_other.value:+.4f} [{one.above_other.low:+.4f}, {one.above_other.high:+.4f}]"
        both = f"{one.model.value:.4f}, the other {one.other.value:.4f}"
        yield f"  {one.figure}: {both}: {above}, {one.customers:,} customers"


def _group(group: "GroupQuality", name: str, k: int, *, comparable: bool) -> Iterator[str]:
    yield f"  {name}: {group.customers:,} customers"
    titles = {"ndcg": "nDCG", "recall": "recall", "precision": "precision", "average_precision": "MAP"}
    for figure, title in titles.items():
        compared: Compared = getattr(group, figure)
        both = _both(compared, group.customers, comparable=comparable)
        yield f"    {f'{title}@{k}':<13} {both}, random {compared.random.value:.4f}"


def _both(figure: "Compared | GroupAuc", customers: int, *, comparable: bool) -> str:
    from stream_scorer.core.evaluation.intervals import beyond_noise

    above, popularity = figure.above_popularity, figure.popularity
    assert above is not None, "groups without figures are not printed"
    assert popularity is not None
    verdict = {1: "above", -1: "below", 0: "not distinguishable from"}[beyond_noise(above, customers)]
    return (
        f"{_interval(figure.model)}, popularity {popularity.value:.4f}: {verdict if comparable else 'not comparable'}"
    )


def _interval(interval: "Interval | None") -> str:
    return "" if interval is None else f"{interval.value:.4g} [{interval.low:.4g}, {interval.high:.4g}]"


def _off_policy(value: "PolicyValue | None") -> Iterator[str]:
    if value is None:
        yield "\nno propensities, so no off-policy estimates"
        return
    found = value.estimate
    yield f"\noff-policy, {value.unit} over {found.requests:,} rankings"
    if found.logged is None:
        yield f"  refused: {found.refused}"
        return
    size, largest, mean = found.effective_sample_size, found.largest_weight, found.mean_weight
    yield f"  effective sample size {size:,.0f}, largest weight {largest:,.1f}, mean weight {mean:.3f}"
    yield f"  as logged       {_interval(found.logged)}"
    if found.refused:
        yield f"  refused: {found.refused}"
    for name in ("ips", "snips", "doubly_robust", "direct"):
        if (interval := getattr(found, name)) is not None:
            note = " (its model's error is not in it)" if name == "direct" else ""
            yield f"  {name.replace('_', ' '):<15} {_interval(interval)}{note}"
