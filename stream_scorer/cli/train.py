"""`stream-scorer train`."""

import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stream_scorer.cli.options import FromBuffer, Json, labelled, one_of, refuse_given

if TYPE_CHECKING:
    from types import FrameType

    from stream_scorer.core.towers.model import Model
    from stream_scorer.services.learning.trainer import Trained
    from stream_scorer.services.learning.trials import Trial
    from stream_scorer.training.lesson import Epoch
    from stream_scorer.training.options import TrainOptions

_TAKEN_BY_H2O = {"labels", "from_buffer", "offers", "out", "dim", "epochs", "seed", "threads", "engine", "as_json"}


def train(
    ctx: typer.Context,
    *,
    offers: Annotated[Path, typer.Option(help="The catalog: JSON lines, CSV or Parquet.")],
    out: Annotated[Path, typer.Option(help="Folder to write the model to; a model there is replaced.")],
    labels: Annotated[
        str | None,
        typer.Option(
            show_default=False,
            help="Labelled examples: Parquet or JSON lines, a folder of them, or one such as s3://bucket/prefix.",
        ),
    ] = None,
    from_buffer: FromBuffer = False,
    dim: Annotated[
        int | None, typer.Option(show_default="32; 128 among the catalog", help="Length of the vectors.")
    ] = None,
    width: Annotated[
        int | None,
        typer.Option(
            show_default="16; 64 among the catalog where acceptances repeat",
            help="Width of each categorical input's embedding.",
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(show_default="16; 40 among the catalog; 5 with h2o", help="The most passes over the rows."),
    ] = None,
    batch_rows: Annotated[
        int, typer.Option(help="The most rows of an optimiser step; fewer where rows are few.")
    ] = 2_048,
    learning_rate: Annotated[
        float | None,
        typer.Option(
            show_default="0.004; 0.01 among the catalog", help="Adam's step size at first; it falls to nothing."
        ),
    ] = None,
    prior: Annotated[
        float | None,
        typer.Option(show_default="10; 0 among the catalog", help="L2 penalty on weights, as a number of rows."),
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option(show_default="0.1, then learned; 0.2 among the catalog", help="What cosines are divided by."),
    ] = None,
    spectral: Annotated[
        str,
        typer.Option(
            help="Take the vectors of ids alone from a decomposition of who accepted what: auto, on or off; "
            "auto does so where ids hardly meet."
        ),
    ] = "auto",
    history: Annotated[
        bool,
        typer.Option(
            "--history",
            help="Let a customer's id begin at the mean of the offers accepted; for customers known by ids alone.",
        ),
    ] = False,
    refit: Annotated[
        bool | None,
        typer.Option(
            "--refit/--no-refit", show_default="with --tune, or a decomposition", help="Train on all rows at the end."
        ),
    ] = None,
    tune: Annotated[
        bool, typer.Option("--tune", help="Search temperature, sizes and more on an inner split by time first.")
    ] = False,
    tune_seconds: Annotated[
        float,
        typer.Option(
            min=1,
            help="How long to search and then train, once all is read; no search where one training takes longer.",
        ),
    ] = 90.0,
    members: Annotated[
        int,
        typer.Option(show_default="1; a few with --tune", help="Size of the ensemble, where ids alone are known."),
    ] = 1,
    warm_start: Annotated[
        Path | None, typer.Option(show_default=False, help="Start from the model in this folder.")
    ] = None,
    held_out: Annotated[float, typer.Option(help="Share of the rows, the latest, that decides when to stop.")] = 0.1,
    objective: Annotated[str, typer.Option(help="What is learned: auto, shown, catalog or separate.")] = "auto",
    customer_id: Annotated[str, typer.Option(help="Whether the customer id is an input: auto, on or off.")] = "auto",
    offer_id: Annotated[str, typer.Option(help="Whether the offer id is an input: auto, on or off.")] = "auto",
    read: Annotated[
        list[str] | None,
        typer.Option(
            show_default=False,
            help="How a feature is read where its values mislead: offer.genre=category, customer.age=number, "
            "offer.bought=off. May be repeated.",
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda; auto uses a GPU where there is one.")] = "auto",
    seed: Annotated[int, typer.Option(help="The same data, options, seed and threads give the same model.")] = 42,
    threads: Annotated[int, typer.Option(help="Processor threads; 0: as many as there are cores.")] = 1,
    engine: Annotated[
        str,
        typer.Option(
            help="torch trains the towers together; h2o trains each by itself, by dim, epochs, seed and threads."
        ),
    ] = "torch",
    as_json: Json = False,
) -> None:
    """Train a user tower and an item tower on labelled examples."""
    from stream_scorer.adapters.files.example_places import examples_at
    from stream_scorer.adapters.files.model_files import make_room, write_model
    from stream_scorer.adapters.files.offer_files import read_offers
    from stream_scorer.adapters.local.clock import SystemClock
    from stream_scorer.training.options import TrainOptions

    clock = SystemClock()
    _one_of("engine", engine, ("torch", "h2o"))
    if engine == "h2o":
        ignored = {option.name or "" for option in ctx.command.params} - _TAKEN_BY_H2O
        refuse_given(ctx, ignored, "--engine h2o takes --dim, --epochs, --seed and --threads alone")
    elif not tune:
        refuse_given(ctx, {"tune_seconds"}, "it belongs to --tune")
    place = labelled(ctx, labels, from_buffer)
    make_room(out)
    start_s = clock.monotonic_s()
    if engine == "h2o":
        from stream_scorer.services.learning.h2o_trainer import train_h2o
        from stream_scorer.training.h2o.options import H2oOptions

        signal.signal(signal.SIGTERM, _end)  # by an exception, so that the JVM ends with us
        h2o_options = H2oOptions(
            dim=32 if dim is None else dim, epochs=5 if epochs is None else epochs, seed=seed, threads=threads or 1
        )
        with examples_at(place) as examples:
            model = train_h2o(examples, read_offers(offers), h2o_options)
        write_model(out, model)
        _tell(model, (), out, clock.monotonic_s() - start_s, as_json)
        return
    options = TrainOptions(
        dim=dim,
        width=width,
        epochs=epochs,
        batch_rows=batch_rows,
        learning_rate=learning_rate,
        prior=prior,
        temperature=temperature,
        history=history,
        refit=True if tune and refit is None else refit,
        members=members,
        held_out=held_out,
        objective=_one_of("objective", objective, ("auto", "shown", "catalog", "separate")),
        spectral=_one_of("spectral", spectral, ("auto", "on", "off")),
        customer_id=_one_of("customer-id", customer_id, ("auto", "on", "off")),
        offer_id=_one_of("offer-id", offer_id, ("auto", "on", "off")),
        device=_one_of("device", device, ("auto", "cpu", "cuda")),
        seed=seed,
        threads=threads,
        reads=tuple(read or ()),
    )
    trained = _trained(place, offers, options, warm_start, tune_seconds if tune else None)
    write_model(out, trained.model)
    _tell(trained.model, trained.epochs, out, clock.monotonic_s() - start_s, as_json)


def _trained(
    place: str, offers: Path, options: "TrainOptions", earlier: Path | None, tune_s: float | None
) -> "Trained":
    from dataclasses import replace

    from stream_scorer.adapters.files.example_places import examples_at
    from stream_scorer.adapters.files.model_files import read_model
    from stream_scorer.adapters.files.offer_files import read_offers
    from stream_scorer.adapters.local.clock import SystemClock
    from stream_scorer.adapters.tables.places import heard
    from stream_scorer.services.learning.trainer import check_history, finish, read_lesson
    from stream_scorer.services.learning.tuner import tune as search

    with _shown() as (tried, report, say), heard() as said, examples_at(place) as examples:
        known = None if earlier is None else read_model(earlier)
        lesson = read_lesson(examples, read_offers(offers), options, earlier=known)
        for caution in lesson.survey.cautions:
            say(caution)
        # what the reader of tables left out is part of what was read
        check_history(lesson, options)
        survey = replace(lesson.survey, cautions=(*said, *lesson.survey.cautions))
        lesson = replace(lesson, survey=survey)
        if tune_s is None:
            return finish(lesson, options, report=report)
        tuning = search(lesson, options, seconds=tune_s, clock=SystemClock(), report=tried)
        return finish(lesson, tuning.options, tuning=tuning, report=report)


def _end(number: int, frame: "FrameType | None") -> None:
    raise SystemExit(128 + number)


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> Any:
    # Any: the options are typed by their literals, which are checked here
    return one_of(name, value, allowed)


@contextmanager
def _shown() -> "Iterator[tuple[Callable[[Trial], None], Callable[[Epoch], None], Callable[[str], None]]]":
    """Show trials and epochs as they end, and cautions above them."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[said]}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading", total=None, said="")

        def tried(trial: "Trial") -> None:
            bar.update(task, description="tuning", said=_trial_line(asdict(trial)))

        def report(epoch: "Epoch") -> None:
            bar.update(task, description="training", total=epoch.epochs, completed=epoch.number, said=_said(epoch))

        def say(caution: str) -> None:
            bar.console.print(f"caution: {caution}", markup=False, highlight=False, soft_wrap=True)

        yield tried, report, say


def _trial_line(trial: dict[str, Any]) -> str:
    from stream_scorer.services.learning.trials import setting_text

    figure = f"{trial['figure']} {abs(trial['badness']):.4f}"
    ended = f"{trial['epochs']} epochs, {trial['seconds']:.1f} s, {trial['ended']}"
    return f"{setting_text(trial['setting']) or 'as given'}: {figure} ({ended}){', kept' if trial['kept'] else ''}"


def _said(epoch: "Epoch") -> str:
    held_out = "" if epoch.held_out_loss is None else f"  held out {epoch.held_out_loss:.4f}"
    auc = "" if epoch.held_out_auc is None else f"  AUC {epoch.held_out_auc:.3f}"
    ndcg = "" if epoch.held_out_ndcg is None else f"  nDCG@10 {epoch.held_out_ndcg:.4f}"
    return f"loss {epoch.loss:.4f}{held_out}{auc}{ndcg}"


def _tell(model: "Model", epochs: "Sequence[Epoch]", out: Path, seconds: float, as_json: bool) -> None:
    import json

    facts: dict[str, Any] = dict(model.facts)
    for caution in (facts.get("judged") or {}).get("cautions", ()):
        print(f"caution: {caution}", file=sys.stderr)
    if as_json:
        history = [asdict(epoch) for epoch in epochs]
        print(
            json.dumps(
                {
                    "model_id": model.model_id,
                    "out": str(out),
                    "seconds": round(seconds, 3),
                    "facts": facts,
                    "history": history,
                }
            )
        )
        return
    for line in (*_inputs(facts), *_summary(facts)):
        print(line)
    print(f"model {model.model_id} in {out}, {seconds:.1f} s")


def _judged(judged: dict[str, Any]) -> "Iterator[str]":
    from stream_scorer.cli.judged import asked_line, beside_lines

    if judged["among"] == "catalog":
        yield f"judged among the whole catalog: {asked_line(judged)}"
    yield from (f"  {line}" for line in beside_lines(judged))


def _inputs(facts: dict[str, Any]) -> "Iterator[str]":
    from stream_scorer.core.features.stated_inputs import StatedInput

    for stated in facts.get("inputs", ()):
        yield f"reads {StatedInput(**stated).line()}"


def _summary(facts: dict[str, Any]) -> "Iterator[str]":
    ours, popular = facts["held_out_auc"], facts["popularity_auc"]
    yield (
        f"{facts['rows']:,} rows, {facts['positives']:,} accepted, {facts['customers']:,} customers, "
        f"{facts['catalog_offers']:,} offers"
    )
    if facts["refused_rows"]:
        yield f"{facts['refused_rows']:,} rows left out: their features do not fit"
    if outside := facts.get("rows_outside_catalog"):
        yield f"{outside:,} rows are of offers that are not in the catalog"
    yield f"objective {facts['objective']}, epoch {facts['best_epoch']:g} of {facts['epochs']} kept"
    if facts["held_out_loss"] is not None:
        yield f"held out: {facts['held_out_rows']:,} rows, loss {facts['held_out_loss']:.4f}"
    if judged := facts.get("judged"):
        yield from _judged(judged)
    if tuning := facts.get("tuning"):
        yield f"tuned for {tuning['seconds']:.1f} s: {tuning['outcome']}"
        yield from (f"  {_trial_line(trial)}" for trial in facts["tuned"])
    if (members := facts.get("options", {}).get("members", 1)) > 1:
        yield f"{members} towers side by side; the nDCG held out is that of one of them"
    if ours["within_customer"] is not None:
        error = f" ± {1.96 * ours['standard_error']:.3f}" if ours["standard_error"] is not None else ""
        yield f"AUC within customer {ours['within_customer']:.3f}{error}, popularity {popular['within_customer']:.3f}"
