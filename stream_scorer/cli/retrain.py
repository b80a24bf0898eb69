"""`stream-scorer retrain`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stream_scorer.cli.options import Json, settings_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stream_scorer.core.datasets.chunks import ExampleSource
    from stream_scorer.core.messages import Offer
    from stream_scorer.core.towers.model import Model
    from stream_scorer.training.options import TrainOptions


def retrain(
    ctx: typer.Context,
    *,
    offers: Annotated[Path, typer.Option(help="The catalog: JSON lines, CSV or Parquet; read anew each time.")],
    out: Annotated[Path, typer.Option(help="Folder to write the newest model to.")],
    labels: Annotated[
        str | None,
        typer.Option(
            show_default="buffer.folder", help="Labelled examples: a path, or a URI such as s3://bucket/prefix."
        ),
    ] = None,
    every: Annotated[
        float | None, typer.Option(min=1, show_default="once", help="Seconds from one training to the next.")
    ] = None,
    stretch: Annotated[
        float, typer.Option(min=1, help="Seconds over which acceptances are compared with those before.")
    ] = 3_600,
    warm_starts: Annotated[
        int,
        typer.Option(
            min=0,
            max=1_000,
            help="Trainings that go on from the model that serves, until one begins from nothing; 0: none.",
        ),
    ] = 9,
    keep: Annotated[int, typer.Option(min=1, max=100, help="Releases to keep, the current one counted.")] = 3,
    seed: Annotated[int, typer.Option(help="Of the training.")] = 42,
    threads: Annotated[int, typer.Option(help="Processor threads; 0: as many as there are cores.")] = 1,
    as_json: Json = False,
) -> None:
    """Train on from the model that serves, judge and publish.

    Held when acceptances have gone quiet, or refused by the gate, the old release serves on and it says so.
    """
    import json
    from dataclasses import asdict

    from stream_scorer.adapters.files.example_places import examples_at
    from stream_scorer.adapters.files.model_files import write_model
    from stream_scorer.adapters.files.offer_files import read_offers
    from stream_scorer.adapters.local.clock import SystemClock
    from stream_scorer.adapters.local.stopping import stop_signals
    from stream_scorer.services.learning.retrainer import RetrainConfig, Retrainer
    from stream_scorer.services.learning.trainer import train_model
    from stream_scorer.wiring import release_store

    settings = settings_of(ctx)
    place = labels or settings.buffer.folder

    def train(
        examples: "ExampleSource", stated: "Sequence[Offer]", options: "TrainOptions", earlier: "Model | None"
    ) -> "Model":
        return train_model(examples, stated, options, earlier=earlier).model

    retrainer = Retrainer(
        release_store(settings),
        lambda: examples_at(place),
        lambda: read_offers(offers),
        RetrainConfig(int(stretch * 1_000), keep, warm_starts, seed, threads),
        train=train,
        write=lambda model: write_model(out, model),
        clock=SystemClock(),
    )
    if every is not None:
        retrainer.run(every_s=every, stopping=stop_signals())
        return
    ended = retrainer.once()
    print(json.dumps(asdict(ended)) if as_json else f"{ended.outcome}: {ended.reason or f'release {ended.release_id}'}")
    if ended.outcome != "published":
        raise typer.Exit(1)
