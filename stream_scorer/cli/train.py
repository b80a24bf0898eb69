"""`stream-scorer train`."""

import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stream_scorer.cli.options import (
    FromBuffer,
    Json,
    Register,
    labelled,
    one_of,
    refuse_all_but,
    refuse_given,
    settings_of,
)

if TYPE_CHECKING:
    from types import FrameType

    from stream_scorer.core.towers.model import Model
    from stream_scorer.services.learning.trainer import Trained
    from stream_scorer.services.learning.trials import Trial
    from stream_scorer.training.lesson import Epoch
    from stream_scorer.training.options import TrainOptions
    from stream_scorer.training.reranking.second_stage import RankerKind

_TAKEN_BY_H2O = {
    "labels",
    "from_buffer",
    "offers",
    "out",
    "dim",
    "epochs",
    "seed",
    "threads",
    "engine",
    "mlflow",
    "as_json",
}


def train(
    ctx: typer.Context,
    *,
    offers: Annotated[Path, typer.Option(help="The catalog: JSON lines, CSV or Parquet.")],
    out: Annotated[Path, typer.Option(help="Folder to write the model to; a model there is replaced.")],
    labels: Annotated[
        str | None,
        typer.Option(
            show_default=False,
            help="Labelled examples: Parquet or JSON lines, a folder, s3://bucket/prefix, or an Iceberg table.",
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
        int | None,
        typer.Option(
            show_default="2048; up to 8192 from half a million rows on",
            help="The most rows of an optimiser step; fewer where rows are few.",
        ),
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(
            show_default="0.004; 0.01 among the catalog",
            help="Adam's step size at first; it falls to nothing. Up to twice the default where steps take more rows.",
        ),
    ] = None,
    prior: Annotated[
        float | None,
        typer.Option(
            show_default="10; 0 among the catalog; chosen by folds where acceptances are few",
            help="L2 penalty on weights, as a number of rows.",
        ),
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
    accepted_before: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=200,
            show_default="none",
            help="Read the offers that the customer accepted before, at most so many of the latest. The log gives "
            "them; served requests state them as the feature accepted_before.",
        ),
    ] = None,
    refit: Annotated[
        bool | None,
        typer.Option(
            "--refit/--no-refit",
            show_default="with --tune, repeats, or a decomposition",
            help="Train on all rows at the end.",
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
    ranker: Annotated[
        str | None,
        typer.Option(
            show_default="none",
            help="Also train a re-ranker of the towers' shortlist: auto, network or trees (extra trees). It is left "
            "out where it surely ranks worse on the rows held out.",
        ),
    ] = None,
    members: Annotated[
        int | None,
        typer.Option(
            show_default="4 for few rows that train to the end, a few with --tune for ids alone, else 1",
            help="Size of the ensemble, whose vectors are concatenated.",
        ),
    ] = None,
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
    seed: Annotated[
        int, typer.Option(help="The same data, options and seed give the same model on one thread of a CPU.")
    ] = 42,
    threads: Annotated[int, typer.Option(help="Processor threads; 0: as many as there are cores.")] = 1,
    mlflow: Register = None,
    engine: Annotated[
        str,
        typer.Option(
            help="torch trains the towers together; h2o trains each by itself, by dim, epochs, seed and threads."
        ),
    ] = "torch",
    as_json: Json = False,
) -> None:
    """Train a user tower and an item tower on labelled examples."""
    from stream_scorer.adapters.files.model_files import make_room, write_model
    from stream_scorer.adapters.local.clock import SystemClock
    from stream_scorer.training.options import TrainOptions

    clock = SystemClock()
    _one_of("engine", engine, ("torch", "h2o"))
    if engine == "h2o":
        refuse_all_but(ctx, _TAKEN_BY_H2O, "--engine h2o takes --dim, --epochs, --seed and --threads alone")
    elif not tune:
        refuse_given(ctx, {"tune_seconds"}, "it belongs to --tune")
    place = labelled(ctx, labels, from_buffer)
    make_room(out)
    register = _registering(ctx, mlflow, out)
    start_s = clock.monotonic_s()
    if engine == "h2o":
        model = _trained_in_h2o(place, offers, dim=dim, epochs=epochs, seed=seed, threads=threads)
        write_model(out, model)
        register(model)
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
        accepted_before=accepted_before or 0,
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
    kind = None if ranker is None else _one_of("ranker", ranker, ("auto", "network", "trees"))
    trained = _trained(place, offers, options, warm_start, tune_seconds if tune else None, ranker=kind)
    write_model(out, trained.model)
    register(trained.model)
    _tell(trained.model, trained.epochs, out, clock.monotonic_s() - start_s, as_json)


def _registering(ctx: typer.Context, name: str | None, out: Path) -> "Callable[[Model], None]":
    """Return what registers the model. Raises, before hours of training, where MLflow cannot be reached."""
    if name is None:
        return lambda model: None
    from stream_scorer.wiring.registry import model_registry

    registry = model_registry(settings_of(ctx))
    registry.check()

    def register(model: "Model") -> None:
        print(f"registered as {registry.register(name, out, model.model_id, model.facts)}", file=sys.stderr)

    return register


def _trained(
    place: str,
    offers: Path,
    options: "TrainOptions",
    earlier: Path | None,
    tune_s: float | None,
    *,
    ranker: "RankerKind | None",
) -> "Trained":
    from dataclasses import replace

    from stream_scorer.adapters.files.model_files import read_model
    from stream_scorer.adapters.files.offer_files import read_offers
    from stream_scorer.adapters.local.clock import SystemClock
    from stream_scorer.adapters.tables.places import heard
    from stream_scorer.services.learning.trainer import check_history, finish, read_lesson, source_of
    from stream_scorer.services.learning.tuner import tune as search
    from stream_scorer.training.lesson import device_of
    from stream_scorer.training.reranking.second_stage import RerankOptions, second_stage
    from stream_scorer.wiring.labels import labels_at

    device_of(options.device)  # a GPU that is not there is refused before a long log is read
    with _shown() as (tried, report, say), heard() as said, labels_at(place) as examples:
        known = None if earlier is None else read_model(earlier)
        catalog = read_offers(offers)
        lesson = read_lesson(examples, catalog, options, earlier=known)
        for caution in lesson.survey.cautions:
            say(caution)
        check_history(lesson, options)
        # what the reader of tables left out is part of what was read
        survey = replace(lesson.survey, cautions=(*said, *lesson.survey.cautions))
        lesson = replace(lesson, survey=survey)
        second = None
        if ranker is not None:
            asked = RerankOptions(ranker, tune=tune_s is not None, seed=options.seed)
            second = second_stage(source_of(examples, catalog, options, known), catalog, asked, say)
        if tune_s is None:
            return finish(lesson, options, report=report, second=second)
        tuning = search(lesson, options, seconds=tune_s, clock=SystemClock(), report=tried)
        return finish(lesson, tuning.options, tuning=tuning, report=report, second=second)


def _trained_in_h2o(
    place: str, offers: Path, *, dim: int | None, epochs: int | None, seed: int, threads: int
) -> "Model":
    from stream_scorer.adapters.files.offer_files import read_offers
    from stream_scorer.services.learning.h2o_trainer import train_h2o
    from stream_scorer.training.h2o.options import H2oOptions
    from stream_scorer.wiring.labels import labels_at

    signal.signal(signal.SIGTERM, _end)  # by an exception, so that the JVM ends with us
    options = H2oOptions(
        dim=32 if dim is None else dim, epochs=5 if epochs is None else epochs, seed=seed, threads=threads or 1
    )
    with labels_at(place) as examples:
        return train_h2o(examples, read_offers(offers), options)


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

    from stream_scorer.cli.training_lines import epoch_line, trial_line

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[said]}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading", total=None, said="")

        def tried(trial: "Trial") -> None:
            bar.update(task, description="tuning", said=trial_line(asdict(trial)))

        def report(epoch: "Epoch") -> None:
            bar.update(task, description="training", total=epoch.epochs, completed=epoch.number, said=epoch_line(epoch))

        def say(caution: str) -> None:
            bar.console.print(f"caution: {caution}", markup=False, highlight=False, soft_wrap=True)

        yield tried, report, say


def _tell(model: "Model", epochs: "Sequence[Epoch]", out: Path, seconds: float, as_json: bool) -> None:
    import json

    from stream_scorer.cli.training_lines import fact_lines
    from stream_scorer.core.releases.gate import alike_cautions

    facts: dict[str, Any] = dict(model.facts)
    for caution in (*alike_cautions(facts), *(facts.get("judged") or {}).get("cautions", ())):
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
    for line in fact_lines(facts):
        print(line)
    print(f"model {model.model_id} in {out}, {seconds:.1f} s")
