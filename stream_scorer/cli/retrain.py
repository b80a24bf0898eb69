"""`stream-scorer retrain`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stream_scorer.cli.options import Json, settings_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stream_scorer.core.example_chunks import ExampleSource
    from stream_scorer.core.messages import Offer
    from stream_scorer.core.release import Model


def retrain(
    ctx: typer.Context,
    *,
    offers: Annotated[Path, typer.Option(help="The catalog: JSON lines, CSV or Parquet; read anew each time.")],
    out: Annotated[Path, typer.Option(help="Folder to write the newest model to.")],
    labels: Annotated[Path | None, typer.Option(show_default="buffer.folder", help="Labelled examples.")] = None,
    every: Annotated[float | None, typer.Option(min=1, show_default="once", help="Seconds from one training to the next.")] = None,
    stretch: Annotated[float, typer.Option(min=1, help="Seconds over which acceptances are compared with those before.")] = 3_600,
    keep: Annotated[int, typer.Option(min=1, max=100, help="Releases to keep, the current one counted.")] = 3,
    seed: Annotated[int, typer.Option(help="Of the training.")] = 42,
    threads: Annotated[int, typer.Option(help="Processor threads; 0: as many as there are cores.")] = 1,
    as_json: Json = False,
) -> None:
    """Train, judge and publish; held when acceptances have gone quiet, refused by the gate, the old release serves on and it says so."""
    import json
    from dataclasses import asdict

    from stream_scorer.adapters.clock import SystemClock
    from stream_scorer.adapters.example_files import ExampleFiles
    from stream_scorer.adapters.model_files import write_model
    from stream_scorer.adapters.tables import read_offers
    from stream_scorer.cli.stopping import stop_signals
    from stream_scorer.services.retrainer import RetrainConfig, Retrainer
    from stream_scorer.services.trainer import train_model
    from stream_scorer.towers.options import TrainOptions
    from stream_scorer.wiring import release_store

    settings = settings_of(ctx)
    place = labels or Path(settings.buffer.folder)

    def train(examples: "ExampleSource", stated: "Sequence[Offer]") -> "Model":
        model = train_model(examples, stated, TrainOptions(seed=seed, threads=threads)).model
        write_model(out, model)
        return model

    config = RetrainConfig(stretch_ms=int(stretch * 1_000), keep=keep)
    retrainer = Retrainer(
        release_store(settings), lambda: ExampleFiles.at(place), lambda: read_offers(offers), train, config, clock=SystemClock()
    )
    if every is not None:
        retrainer.run(every_s=every, stopping=stop_signals())
        return
    ended = retrainer.once()
    print(json.dumps(asdict(ended)) if as_json else f"{ended.outcome}: {ended.reason or f'release {ended.release_id}'}")
    if ended.outcome != "published":
        raise typer.Exit(1)
