"""`stream-scorer buffer`."""

from typing import TYPE_CHECKING, Annotated

import typer

from stream_scorer.cli.options import Delivery, Json, UntilIdle, settings_of

if TYPE_CHECKING:
    from stream_scorer.services.streaming.buffer import BufferConfig
    from stream_scorer.settings import Settings

FolderOption = Annotated[
    str | None, typer.Option(show_default=False, help="A local folder, or a URI such as s3://bucket/prefix.")
]


def buffer(
    ctx: typer.Context,
    *,
    folder: FolderOption = None,
    keep_prob: Annotated[
        float | None, typer.Option(show_default=False, help="Share kept of the negatives that nobody answered.")
    ] = None,
    compact: Annotated[
        bool, typer.Option("--compact", help="Make few files of many now, and end; a buffer does it by and by.")
    ] = False,
    delivery: Delivery = None,
    until_idle: UntilIdle = None,
    as_json: Json = False,
) -> None:
    """Write training labels to Parquet files; a member of the buffers' consumer group. SIGTERM ends it after a last write."""
    settings = settings_of(ctx, {"buffer.folder": folder, "buffer.keep_prob": keep_prob, "loop.delivery": delivery})
    _tell(_compact(settings) if compact else _run(settings, until_idle), settings, as_json)


def _run(settings: "Settings", until_idle_s: float | None) -> dict[str, int]:
    import contextlib

    from stream_scorer.adapters.local.clock import SystemClock
    from stream_scorer.adapters.local.stopping import stop_signals
    from stream_scorer.adapters.parquet.buffer import ParquetBuffer
    from stream_scorer.services.streaming.buffer import Buffer
    from stream_scorer.services.streaming.loop import Loop, LoopBounds
    from stream_scorer.telemetry import serve_metrics
    from stream_scorer.wiring import log_reader, record_sink, record_source

    stopping, group, loop = stop_signals(), settings.buffer.group, settings.loop
    files = ParquetBuffer.open(settings.buffer.folder)
    telemetry = serve_metrics(settings.metrics, SystemClock())
    bounds = LoopBounds(loop.batch_records_max, loop.linger_s, loop.poll_s, loop.write_attempts_max)
    with (
        contextlib.closing(record_sink(settings, group)) as sink,
        contextlib.closing(record_source(settings, group, [settings.topics.labels], held=True)) as source,
        contextlib.closing(log_reader(settings, group)) as reader,
    ):
        job = Buffer(source, reader, files, _config(settings, until_idle_s), clock=SystemClock())
        Loop(job, source, sink, bounds=bounds, clock=SystemClock(), telemetry=telemetry).run(
            stopping=stopping, until_idle_s=until_idle_s
        )
        if (work := job.finish()) is not None:
            sink.write(work.outputs, work.progress, source)
            job.written(work)
    return {name: job.counts[name] for name in ("rows", "chunks", "dead_letters", "compacted")}


def _config(settings: "Settings", until_idle_s: float | None) -> "BufferConfig":
    from stream_scorer.core.buffer.compaction import CompactionPlan
    from stream_scorer.services.streaming.buffer import BufferConfig

    own = settings.buffer
    flush_s = own.flush_s if until_idle_s is None else min(own.flush_s, until_idle_s)
    plan = CompactionPlan(own.compact_files_min, int(own.replaced_kept_s * 1000))
    return BufferConfig(
        settings.topics.dead_letters, own.file_rows_max, own.held_bytes_max, flush_s, own.keep_prob, plan
    )


def _compact(settings: "Settings") -> dict[str, int]:
    from dataclasses import asdict

    from stream_scorer.adapters.files.folders import Folder
    from stream_scorer.adapters.local.clock import SystemClock
    from stream_scorer.adapters.parquet.compaction import compact

    replaced_before_ms = SystemClock().now_ms() - int(settings.buffer.replaced_kept_s * 1000)
    return asdict(compact(Folder.open(settings.buffer.folder), replaced_before_ms=replaced_before_ms))


def _tell(figures: dict[str, int], settings: "Settings", as_json: bool) -> None:
    import json

    if as_json:
        print(json.dumps({"folder": settings.buffer.folder, **figures}))
    else:
        print(
            f"{settings.buffer.folder}: "
            + ", ".join(f"{value:,} {name.replace('_', ' ')}" for name, value in figures.items())
        )
