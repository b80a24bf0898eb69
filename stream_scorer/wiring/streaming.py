"""Builds the streaming jobs from adapters and services, which do not import each other."""

import contextlib
import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from stream_scorer.adapters.kafka.log import KafkaLog
from stream_scorer.adapters.local.allocator import keep_freed_memory
from stream_scorer.adapters.local.clock import SystemClock
from stream_scorer.core.buffer.compaction import CompactionPlan
from stream_scorer.core.joining.labelling import Horizons
from stream_scorer.core.joining.ring_shape import RingShape, horizons_changed
from stream_scorer.core.ranking.encoding import OfferFeatures
from stream_scorer.core.ranking.exploration import Exploration
from stream_scorer.core.ranking.pipeline import RankTopics
from stream_scorer.ports import Fetched, RecordSink, Telemetry, Tracing
from stream_scorer.services.streaming.aligned_source import AlignedSink, AlignedSource
from stream_scorer.services.streaming.join_restore import JoinConfig
from stream_scorer.services.streaming.joiner import Joiner
from stream_scorer.services.streaming.loop import Job, Loop, LoopBounds, SourceT
from stream_scorer.services.streaming.ranker import RankConfig, Ranker
from stream_scorer.services.streaming.refresher import RefreshConfig, Refresher
from stream_scorer.services.streaming.release_watch import ReleaseWatch
from stream_scorer.services.streaming.ring_check import (
    RetentionWatch,
    RingWatch,
    Standing,
    shape_now,
    standing,
    written_shape,
)
from stream_scorer.settings import Settings
from stream_scorer.telemetry.prometheus import serve_metrics
from stream_scorer.topic_plan import label_bytes_max, ranking_bytes_max
from stream_scorer.wiring.brokers import ClientConfig, brokers_ready, log_reader, record_sink, record_source
from stream_scorer.wiring.stores import release_store
from stream_scorer.wiring.tracing import batch_tracing

if TYPE_CHECKING:
    from stream_scorer.services.streaming.buffer import BufferConfig

_LOOK_TIMEOUT_S = 2.0


def ring_standing(settings: Settings, *, joins: bool) -> Standing:
    """Return the ring's shape, as its jobs have agreed on it; with `joins`, the settings of the join are part of it.

    Raises UsageError when the ring's state cannot go on with the present topics and settings, and NotReady when a topic
    is missing.
    """
    config = join_config(settings)
    with (
        contextlib.closing(log_reader(settings, settings.join.group)) as join,
        contextlib.closing(log_reader(settings, settings.rank.group)) as rank,
    ):
        now = shape_now(join, config.topics)
        if joins:
            now = replace(now, emit=config.emit, horizons=config.horizons)
        return standing(join, rank, rank_config(settings).topics, now)


def joined_by(settings: Settings) -> tuple[Horizons, tuple[str, ...]]:
    """Return the horizons that joiners have written beside their positions, and phrases that say how settings differ.

    Where joiners have written none, these are the horizons of the settings, and there are no phrases.
    """
    own = join_config(settings)
    with contextlib.closing(log_reader(settings, settings.join.group)) as reader:
        written = written_shape(reader, own.topics.rankings)
    if written is None or written.horizons is None:
        return own.horizons, ()
    return written.horizons, horizons_changed(written, RingShape(written.partitions, horizons=own.horizons))


@contextlib.contextmanager
def _watching(
    settings: Settings, group: str, job: str, started: RingShape, telemetry: Telemetry
) -> Iterator[tuple[RingWatch, RetentionWatch]]:
    # This reader is asked between two batches, so it must not block the job: its timeout is short, and it does not wait
    # for a predecessor's open transaction.
    config: ClientConfig = {**settings.kafka.client_config(), "group.id": group}
    reader = KafkaLog(config, timeout_s=_LOOK_TIMEOUT_S, isolation="read_uncommitted")
    topics, clock = settings.topics, SystemClock()
    with contextlib.closing(reader):
        ring = RingWatch(reader, join_config(settings).topics, started, clock=clock)
        yield ring, RetentionWatch(job, reader, (topics.rankings, topics.outcomes), clock=clock, telemetry=telemetry)


def run_rank(settings: Settings, *, stopping: Callable[[], bool], until_idle_s: float | None = None) -> None:
    """Rank until `stopping`. The group is joined after the first release is there: before, no request can be ranked."""
    topics, group = settings.topics, settings.rank.group
    telemetry = serve_metrics(settings.metrics, SystemClock(), group=group)
    brokers_ready(settings, stopping)
    shape = ring_standing(settings, joins=False).shape
    counts = dict.fromkeys((topics.rankings, topics.outcomes), shape.partitions)
    with (
        _following(settings, telemetry) as watch,
        _watching(settings, group, "rank", shape, telemetry) as (ring, retention),
    ):
        if watch.wait_first(stopping) is None:  # asked to stop before any release came
            return
        sink = record_sink(settings, group, counts=counts, stopping=stopping)
        source = record_source(settings, group, [topics.requests, topics.acceptances])
        keep_freed_memory()
        config = replace(rank_config(settings), beside_positions=shape.beside())
        with contextlib.closing(source), contextlib.closing(sink):
            aligned = AlignedSource(source, clock=SystemClock())
            rewind = aligned.rewind if settings.rank.in_step else source.rewind
            ranker = Ranker(watch, rewind, config, telemetry=telemetry, look=ring.look)
            with batch_tracing(settings, group) as tracing:
                about = _LoopContext(telemetry, tracing, retention.look)
                if settings.rank.in_step:
                    loop: Loop[Any] = _loop(settings, ranker, aligned, AlignedSink(sink), about)
                else:
                    loop = _loop(settings, ranker, source, sink, about)
                loop.run(stopping=stopping, until_idle_s=until_idle_s)


def rank_config(settings: Settings) -> RankConfig:
    """Return the settings that a ranker needs."""
    topics, features = settings.topics, settings.rank.offer_features
    names = RankTopics(topics.requests, topics.acceptances, topics.rankings, topics.outcomes)
    kept = OfferFeatures(None if features is None else tuple(features))
    wanted = settings.rank.exploration
    exploration = Exploration(wanted.temperature, wanted.floor, wanted.pool) if wanted.temperature else None
    return RankConfig(
        names,
        topics.dead_letters,
        kept,
        ranking_bytes_max(settings),
        exploration,
        letter_headers=settings.dead_letters.headers,
        recall_min=settings.rank.recall_min,
        recall_every=settings.rank.recall_sample,
        shortlist=settings.rank.shortlist,
        passed_headers=tuple(settings.wire.headers),
    )


@contextlib.contextmanager
def _following(settings: Settings, telemetry: Telemetry) -> Iterator[ReleaseWatch]:
    watch = ReleaseWatch(release_store(settings, ranks=True), SystemClock(), poll_s=settings.rank.release_poll_s)
    watch.start()
    telemetry.store_watched(watch.state, watch.silent_s)
    try:
        yield watch
    finally:
        watch.close()


def run_join(settings: Settings, *, stopping: Callable[[], bool], until_idle_s: float | None = None) -> None:
    """Join until `stopping`."""
    # A full garbage collection visits every open request, which takes half a second for 200,000 of them. The young
    # generations see everything that can become garbage, so full collections are all but switched off.
    gc.set_threshold(10_000, 10, 1_000_000)
    group, topics = settings.join.group, settings.topics
    telemetry = serve_metrics(settings.metrics, SystemClock(), group=group)
    brokers_ready(settings, stopping)
    shape = ring_standing(settings, joins=True).shape
    config = replace(join_config(settings), shape=shape)
    sink = record_sink(settings, group, note_ends=True, stopping=stopping)
    source = record_source(settings, group, [topics.rankings], mirrored=[topics.outcomes], held=True)
    with (
        contextlib.closing(source),
        contextlib.closing(sink),
        _watching(settings, group, "join", shape, telemetry) as (ring, retention),
    ):
        joiner = Joiner(
            source,
            sink.end_offsets,
            lambda: log_reader(settings, group),
            config,
            clock=SystemClock(),
            telemetry=telemetry,
            look=ring.look,
        )
        with contextlib.closing(joiner), batch_tracing(settings, group) as tracing:
            about = _LoopContext(telemetry, tracing, retention.look)
            _loop(settings, joiner, source, sink, about).run(stopping=stopping, until_idle_s=until_idle_s)


def join_config(settings: Settings) -> JoinConfig:
    """Return the settings that a joiner needs."""
    join, topics = settings.join, settings.topics
    horizons = Horizons(
        join.window_ms, join.late_ms, join.disorder_ms, join.back_ms, join.tick_ms, join.skew_ms, join.idle_slack_ms
    )
    return JoinConfig(
        topics,
        topics.dead_letters,
        horizons,
        join.open_requests_max,
        join.emit,
        label_bytes_max=label_bytes_max(settings),
        letter_headers=settings.dead_letters.headers,
        passed_headers=tuple(settings.wire.headers),
    )


def run_refresh(
    settings: Settings, *, stopping: Callable[[], bool], until_idle_s: float | None = None
) -> dict[str, int]:
    """Apply changes of offers to the serving release until `stopping`; return what was done, counted by kind."""
    group, topics = settings.refresh.group, settings.topics
    telemetry = serve_metrics(settings.metrics, SystemClock(), group=group)
    config = RefreshConfig(
        topics.offers, topics.dead_letters, settings.rank.release_poll_s, settings.dead_letters.headers
    )
    brokers_ready(settings, stopping)
    sink = record_sink(settings, group, stopping=stopping)
    source = record_source(settings, group, [topics.offers], held=True)
    reader = log_reader(settings, group)
    refresher = Refresher(release_store(settings), source, reader, config, clock=SystemClock())
    with (
        contextlib.closing(reader),
        contextlib.closing(source),
        contextlib.closing(sink),
        batch_tracing(settings, group) as tracing,
    ):
        about = _LoopContext(telemetry, tracing)
        _loop(settings, refresher, source, sink, about).run(stopping=stopping, until_idle_s=until_idle_s)
    return dict(refresher.counts)


def run_buffer(
    settings: Settings, *, stopping: Callable[[], bool], until_idle_s: float | None = None
) -> dict[str, int]:
    """Write labels to files or a table until `stopping`, then those still in memory; return counts of what was done."""
    # Only this job imports pyarrow: the others start faster and take less memory without it.
    from stream_scorer.services.streaming.buffer import Buffer
    from stream_scorer.wiring.labels import training_buffer

    group = settings.buffer.group
    files = training_buffer(settings.buffer.folder)
    files.check_writable()
    telemetry = serve_metrics(settings.metrics, SystemClock(), group=group)
    brokers_ready(settings, stopping)
    with (
        contextlib.closing(record_sink(settings, group, stopping=stopping)) as sink,
        contextlib.closing(record_source(settings, group, [settings.topics.labels], held=True)) as source,
        contextlib.closing(log_reader(settings, group)) as reader,
        batch_tracing(settings, group) as tracing,
    ):
        job = Buffer(source, reader, files, buffer_config(settings, until_idle_s), clock=SystemClock())
        labels = [settings.topics.labels]
        retention = RetentionWatch("buffer", reader, labels, clock=SystemClock(), telemetry=telemetry)
        about = _LoopContext(telemetry, tracing, retention.look)
        _loop(settings, job, source, sink, about).run(stopping=stopping, until_idle_s=until_idle_s)
        if (work := job.finish()) is not None:
            sink.write(work.outputs, work.progress, source)
            job.written(work)
    return {name: job.counts[name] for name in ("rows", "chunks", "dead_letters", "compacted")}


def buffer_config(settings: Settings, until_idle_s: float | None) -> "BufferConfig":
    """Return the settings that a buffer needs; one that ends when idle must write before it ends."""
    from stream_scorer.services.streaming.buffer import BufferConfig

    own = settings.buffer
    flush_s = own.flush_s if until_idle_s is None else min(own.flush_s, until_idle_s)
    plan = CompactionPlan(own.compact_files_min, int(own.replaced_kept_s * 1000))
    return BufferConfig(
        settings.topics.dead_letters,
        own.file_rows_max,
        own.held_bytes_max,
        flush_s,
        own.keep_prob,
        plan,
        settings.dead_letters.headers,
    )


@dataclass(frozen=True, slots=True)
class _LoopContext:
    """Who sees what a loop does."""

    telemetry: Telemetry
    tracing: Tracing
    look: Callable[[Fetched], None] = lambda fetched: None


def _loop(
    settings: Settings,
    job: Job,
    source: SourceT,
    sink: RecordSink[SourceT],
    about: _LoopContext,
) -> Loop[SourceT]:
    loop = settings.loop
    return Loop(
        job,
        source,
        sink,
        bounds=LoopBounds(loop.batch_records_max, loop.linger_s, loop.poll_s, loop.write_attempts_max),
        clock=SystemClock(),
        telemetry=about.telemetry,
        look=about.look,
        tracing=about.tracing,
    )
