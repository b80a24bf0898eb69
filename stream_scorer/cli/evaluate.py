"""`stream-scorer evaluate`."""

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stream_scorer.cli.options import Json, labelled, settings_of

if TYPE_CHECKING:
    from stream_scorer.services.learning.evaluator import Report


def evaluate(
    ctx: typer.Context,
    *,
    model: Annotated[Path, typer.Option(help="A model's folder.")],
    offers: Annotated[Path, typer.Option(help="The catalog: JSON lines, CSV or Parquet.")],
    labels: Annotated[
        str | None,
        typer.Option(
            show_default=False,
            help="Labelled examples to judge by: Parquet or JSON lines, a folder, or s3://bucket/prefix.",
        ),
    ] = None,
    from_buffer: Annotated[
        bool, typer.Option("--from-buffer", help="In place of --labels: what the buffer wrote to buffer.folder.")
    ] = False,
    seen: Annotated[
        str | None, typer.Option(show_default=False, help="Examples that the model could know, when they lie apart.")
    ] = None,
    k: Annotated[int, typer.Option(min=1, max=10_000, help="Places of a ranking that count.")] = 10,
    held_out: Annotated[
        float,
        typer.Option(min=0.001, max=0.999, help="Without --seen: the share of the labels, the latest, that is judged."),
    ] = 0.2,
    policy: Annotated[
        Path | None, typer.Option(show_default=False, help="Judge this table (offer_id, rank, probability) off-policy.")
    ] = None,
    temperature: Annotated[
        float, typer.Option(min=0, help="Off-policy: softmax over the model's scores; 0: always the best.")
    ] = 0.0,
    floor: Annotated[
        float, typer.Option(min=0, max=1, help="Off-policy: probability of a draw that ignores scores.")
    ] = 0.0,
    pool: Annotated[
        int, typer.Option(min=1, max=10_000, help="Off-policy: how many of the best offers take part.")
    ] = 100,
    ess_min: Annotated[float, typer.Option(min=1, help="Off-policy: refuse below this effective sample size.")] = 100.0,
    weight_max: Annotated[float, typer.Option(min=1, help="Off-policy: cut weights to this.")] = 1e9,
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap and the random order.")] = 0,
    report: Annotated[
        Path | None, typer.Option(show_default=False, help="Write a page with the curves to this .html file, too.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure a model on labelled examples, beside popularity and a random order."""
    from rich.console import Console

    from stream_scorer.adapters.files.example_places import examples_at
    from stream_scorer.adapters.files.offer_files import read_offers, read_policy
    from stream_scorer.cli.tower_sources import stored_model
    from stream_scorer.core.evaluation.policies import ModelPolicy
    from stream_scorer.services.learning.evaluator import EvaluateOptions, OffPolicyOptions, evaluate_model

    stated = read_offers(offers)
    target = read_policy(policy, stated) if policy else ModelPolicy(temperature, floor, pool)
    options = EvaluateOptions(k, held_out, seed, OffPolicyOptions(target, ess_min, weight_max))
    place = labelled(ctx, labels, from_buffer)
    waiting = Console(stderr=True).status("judging")
    with waiting, examples_at(place) as judged, examples_at(seen) if seen else nullcontext() as known:
        found = evaluate_model(stored_model(settings_of(ctx), model), stated, judged, known, options)
    if report is not None:
        from stream_scorer.adapters.plots.report_page import write_report

        write_report(report, found)
    _tell(found, as_json)


def _tell(report: "Report", as_json: bool) -> None:
    import json

    if as_json:
        print(json.dumps(report))
        return
    for line in _lines(report):
        print(line)


def _lines(report: dict[str, Any]) -> Iterator[str]:
    yield f"{report['rows']:,} rows, {report['accepted']:,} accepted"
    yield f"{report['customers']:,} customers, {report['catalog_offers']:,} offers"
    whole, k = report["whole_catalog"], report["k"]
    if whole["customers"]:
        yield f"\nwhole catalog, first {k}, {whole['customers']:,} customers with an offer accepted anew"
        for name in ("all", "new_customers", "new_offers"):
            yield from _group(whole[name], name.replace("_", " "), k)
        yield "  coverage" + "".join(f"   {name} {share:.1%}" for name, share in whole["coverage"].items())
    within = report["within_customer"]
    yield "\nAUC within customer"
    for name, found in within.items():
        if found["model"]:
            yield f"  {name.replace('_', ' '):<14} {_both(found)}, {found['customers']:,} customers"
    if report["calibration"]:
        found = report["calibration"]
        yield f"\ncalibration error {found['error']:.4f}, log loss {found['log_loss']:.4f}, of the mean alone {found['base_log_loss']:.4f}"
    yield from _off_policy(report["off_policy"])


def _group(found: dict[str, Any], name: str, k: int) -> Iterator[str]:
    if not found["customers"]:
        return
    yield f"  {name}: {found['customers']:,} customers"
    names = {
        "ndcg": f"nDCG@{k}",
        "recall": f"recall@{k}",
        "precision": f"precision@{k}",
        "average_precision": f"MAP@{k}",
    }
    for figure, title in names.items():
        yield f"    {title:<13} {_both(found[figure])}, random {found[figure]['random']['value']:.4f}"


def _both(found: dict[str, Any]) -> str:
    above = found["above_popularity"]
    verdict = "above" if above["low"] > 0 else "below" if above["high"] < 0 else "not told from"
    return f"{_interval(found['model'])}, popularity {found['popularity']['value']:.4f}: {verdict}"


def _interval(found: dict[str, Any]) -> str:
    return f"{found['value']:.4g} [{found['low']:.4g}, {found['high']:.4g}]"


def _off_policy(found: dict[str, Any] | None) -> Iterator[str]:
    if found is None:
        yield "\nno propensities, so no off-policy estimates"
        return
    yield f"\noff-policy, {found['unit']} over {found['requests']:,} rankings"
    if found["logged"] is None:
        yield f"  refused: {found['refused']}"
        return
    size, largest, mean = found["effective_sample_size"], found["largest_weight"], found["mean_weight"]
    yield f"  effective sample size {size:,.0f}, largest weight {largest:,.1f}, mean weight {mean:.3f}"
    yield f"  as logged       {_interval(found['logged'])}"
    if found["refused"]:
        yield f"  refused: {found['refused']}"
    for name in ("ips", "snips", "doubly_robust", "direct"):
        if found[name]:
            yield f"  {name.replace('_', ' '):<15} {_interval(found[name])}" + (
                " (its model's error is not in it)" if name == "direct" else ""
            )
