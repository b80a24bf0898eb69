"""`stream-scorer buffer`."""

from typing import TYPE_CHECKING, Annotated

import typer

from stream_scorer.cli.options import (
    BufferFolder,
    Delivery,
    Json,
    MetricsPort,
    UntilIdle,
    of_setting,
    refuse_given,
    settings_of,
)

if TYPE_CHECKING:
    from stream_scorer.settings import Settings

_OF_THE_JOB = {"keep_prob", "delivery", "until_idle", "metrics_port"}


def buffer(
    ctx: typer.Context,
    *,
    folder: BufferFolder = None,
    keep_prob: Annotated[float | None, of_setting("buffer.keep_prob")] = None,
    compact: Annotated[
        bool, typer.Option("--compact", help="Merge small files now, and end; a running buffer does so as it goes.")
    ] = False,
    delivery: Delivery = None,
    until_idle: UntilIdle = None,
    metrics_port: MetricsPort = None,
    as_json: Json = False,
) -> None:
    """Write training labels to Parquet files or an Iceberg table, as a member of the buffers' consumer group.

    SIGTERM ends it when what is in memory is written.
    """
    if compact:
        refuse_given(ctx, _OF_THE_JOB, "--compact merges the files that exist, and ends")
    flags = {"buffer.folder": folder, "buffer.keep_prob": keep_prob}
    settings = settings_of(ctx, {**flags, "loop.delivery": delivery, "metrics.port": metrics_port})
    _report(_compact(settings) if compact else _run(settings, until_idle), settings, as_json)


def _run(settings: "Settings", until_idle_s: float | None) -> dict[str, int]:
    from stream_scorer.adapters.local.stopping import stop_signals
    from stream_scorer.wiring.streaming import run_buffer

    return run_buffer(settings, stopping=stop_signals(), until_idle_s=until_idle_s)


def _compact(settings: "Settings") -> dict[str, int]:
    from dataclasses import asdict

    from stream_scorer.adapters.files.folders import Folder
    from stream_scorer.adapters.local.clock import SystemClock
    from stream_scorer.adapters.parquet.buffer import ParquetBuffer
    from stream_scorer.adapters.parquet.compaction import compact
    from stream_scorer.errors import UsageError
    from stream_scorer.wiring.labels import is_table

    if is_table(settings.buffer.folder):
        raise UsageError(
            "--compact merges Parquet files; a table is compacted by the engine that maintains it: see docs/iceberg.md"
        )
    if not ParquetBuffer.open(settings.buffer.folder).exists():
        raise UsageError(f"no training buffer at {settings.buffer.folder}: --folder says where it is")
    replaced_before_ms = SystemClock().now_ms() - int(settings.buffer.replaced_kept_s * 1000)
    return asdict(compact(Folder.open(settings.buffer.folder), replaced_before_ms=replaced_before_ms))


def _report(figures: dict[str, int], settings: "Settings", as_json: bool) -> None:
    import json

    if as_json:
        print(json.dumps({"folder": settings.buffer.folder, **figures}))
    else:
        print(
            f"{settings.buffer.folder}: "
            + ", ".join(f"{value:,} {name.replace('_', ' ')}" for name, value in figures.items())
        )
