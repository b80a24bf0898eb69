"""`stream-scorer retrain`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from stream_scorer.cli.options import Json, MetricsPort, Register, of_setting, one_of, settings_of


def retrain(
    ctx: typer.Context,
    *,
    offers: Annotated[
        Path, typer.Option(help="The catalog: JSON lines, CSV or Parquet; read again for each training.")
    ],
    out: Annotated[Path, typer.Option(help="Folder to write the newest model to.")],
    labels: Annotated[
        str | None,
        of_setting("buffer.folder", "Labelled examples: a path, or a URI such as s3://bucket/prefix."),
    ] = None,
    every: Annotated[
        float | None, typer.Option(min=1, show_default="once", help="Seconds between the starts of two trainings.")
    ] = None,
    stretch: Annotated[
        float, typer.Option(min=1, help="Seconds whose acceptance rate is compared with that of the time before.")
    ] = 3_600,
    warm_starts: Annotated[
        int,
        typer.Option(
            min=0,
            max=1_000,
            help="How many trainings in a row start from the serving model, before one starts afresh; 0: none.",
        ),
    ] = 9,
    ranker: Annotated[
        str | None,
        typer.Option(
            show_default="none",
            help="Also train a re-ranker: auto, network or trees; it is left out where it surely ranks worse.",
        ),
    ] = None,
    keep: Annotated[int, typer.Option(min=1, max=100, help="How many releases to keep, the current one included.")] = 3,
    seed: Annotated[int, typer.Option(help="Seed of the training.")] = 42,
    threads: Annotated[int, typer.Option(help="Processor threads; 0: as many as there are cores.")] = 1,
    mlflow: Register = None,
    metrics_port: MetricsPort = None,
    as_json: Json = False,
) -> None:
    """Train further from the serving model, judge the result and publish it.

    The old release serves on, with the reason, when acceptances have stopped coming or the gate refuses the new one.
    """
    import json
    from dataclasses import asdict

    from stream_scorer.adapters.files.model_files import make_room
    from stream_scorer.adapters.local.stopping import stop_signals
    from stream_scorer.services.learning.retrainer import RetrainConfig
    from stream_scorer.wiring.learning import RetrainPlaces, run_retrain

    settings = settings_of(ctx, {"metrics.port": metrics_port})
    kind: Any = None if ranker is None else one_of("ranker", ranker, ("auto", "network", "trees"))
    places = RetrainPlaces(labels or settings.buffer.folder, offers, out, kind, mlflow)
    _check_places(offers, places.labels, once=every is None)
    make_room(out)
    config = RetrainConfig(int(stretch * 1_000), keep, warm_starts, seed, threads)
    never = lambda: False  # noqa: E731  a single training ends by itself, and Ctrl-C ends it at once
    ended = run_retrain(settings, places, config, every_s=every, stopping=never if every is None else stop_signals())
    if ended is None:
        return
    print(json.dumps(asdict(ended)) if as_json else f"{ended.outcome}: {ended.reason or f'release {ended.release_id}'}")
    if ended.outcome != "published":
        raise typer.Exit(1)


def _check_places(offers: Path, labels: str, *, once: bool) -> None:
    """Raise UsageError for missing paths; with --every, labels may come when the buffer writes its first file."""
    from stream_scorer.errors import UsageError

    if not offers.exists():
        raise UsageError(f"--offers {offers} does not exist")
    if once and "://" not in labels and not Path(labels).exists():
        raise UsageError(f"there are no labels at {labels}: name their place with --labels, or set buffer.folder")
