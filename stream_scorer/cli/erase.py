"""`stream-scorer erase`."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from stream_scorer.cli.options import BufferFolder, Json, refuse_given, settings_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stream_scorer.ports import TrainingBuffer
    from stream_scorer.services.operating.whereabouts import Whereabouts
    from stream_scorer.settings import Settings


def erase(
    ctx: typer.Context,
    *,
    customer: Annotated[str, typer.Option(help="The customer's id.")],
    folder: BufferFolder = None,
    wait: Annotated[
        float, typer.Option(min=0, help="Seconds to wait, at most, until the joiners have dropped the customer.")
    ] = 10.0,
    no_buffer: Annotated[
        bool, typer.Option("--no-buffer", help="Do not search a training buffer: there is none.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show where the data lies, and remove nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Show where a customer's data lies, and remove what can be removed.

    The training buffer's rows are removed, those to come included, and joiners drop the customer. Records on topics go
    by retention alone.
    """
    from stream_scorer.adapters.local.clock import SystemClock
    from stream_scorer.wiring.labels import is_table

    if no_buffer:
        refuse_given(ctx, {"folder"}, "--no-buffer leaves the training buffer out")
    if dry_run:
        refuse_given(ctx, {"wait"}, "--dry-run asks nothing of the joiners")
    settings = settings_of(ctx, {"buffer.folder": folder})
    _check_id(customer)
    buffer = None if no_buffer else _buffer(settings)
    found = _locate(customer, settings, buffer)
    held = "left" if dry_run else "nothing"
    removed: Mapping[str, int] = {}
    if not dry_run:
        if found.newest_event_ms is not None:
            held = (
                "dropped"
                if _drop_held(customer, found.newest_event_ms, settings, wait_s=wait)
                else "dropped once joiners read on"
            )
        removed = {} if buffer is None else buffer.erase(customer, SystemClock().now_ms())
    if not found.known:
        print(f"customer {customer!r} is unknown: no record on the topics, no row in the buffer", file=sys.stderr)
    _tell(found, removed, held, as_json=as_json)
    if held != "left" and buffer is not None and not as_json:
        print("rows that these requests still cause are left out of the training buffer")
        if is_table(settings.buffer.folder):
            print("older snapshots of the table have the rows until they have expired: see docs/iceberg.md")


def _check_id(customer: str) -> None:
    from pydantic import TypeAdapter, ValidationError

    from stream_scorer.core.messages import ID_CHARS_MAX, Id
    from stream_scorer.errors import UsageError

    try:
        TypeAdapter(Id).validate_python(customer)
    except ValidationError as error:
        raise UsageError(
            f"--customer must be 1 to {ID_CHARS_MAX} printable characters, got {customer[:40]!r}"
        ) from error


def _buffer(settings: "Settings") -> "TrainingBuffer":
    """Return the buffer. Raises UsageError where there is none: rows in another folder would stay."""
    from stream_scorer.errors import UsageError
    from stream_scorer.wiring.labels import training_buffer

    buffer = training_buffer(settings.buffer.folder)
    if not buffer.exists():
        raise UsageError(
            f"no training buffer at {settings.buffer.folder}: "
            "name its place with --folder, or give --no-buffer if there is none"
        )
    return buffer


def _drop_held(customer: str, newest_event_ms: int, settings: "Settings", *, wait_s: float) -> bool:
    import contextlib

    from stream_scorer.adapters.kafka.admin import KafkaTopicAdmin
    from stream_scorer.adapters.kafka.feed import KafkaFeed
    from stream_scorer.adapters.local.clock import SystemClock
    from stream_scorer.core.messages import Erasure
    from stream_scorer.core.records import Partition
    from stream_scorer.errors import UsageError
    from stream_scorer.services.operating.erase import send_erasure, wait_until_read
    from stream_scorer.wiring.brokers import log_reader

    clock, client, topic = SystemClock(), settings.kafka.client_config(), settings.topics.outcomes
    # an event time far in the future would keep the erasure for ever: the watermark would never pass it
    erasure = Erasure(customer, max(0, min(newest_event_ms, clock.now_ms() + settings.join.skew_ms)))
    state = KafkaTopicAdmin(client).describe([topic]).get(topic)
    if state is None:
        raise UsageError(
            f"topic {topic} does not exist, or this user may not see it: no joiner can read the erasure there"
        )
    partitions = [Partition(topic, number) for number in range(state.partitions)]
    with contextlib.closing(log_reader(settings, settings.join.group)) as reader:
        offsets = send_erasure(erasure, KafkaFeed(client, topic), reader, partitions)
        return wait_until_read(offsets, reader, clock, wait_s=wait_s)


def _locate(customer: str, settings: "Settings", buffer: "TrainingBuffer | None") -> "Whereabouts":
    import contextlib

    from stream_scorer.adapters.kafka.admin import KafkaTopicAdmin
    from stream_scorer.cli.progress import progress_over
    from stream_scorer.services.operating.whereabouts import Ground, locate
    from stream_scorer.services.verifying.reading import VerifyTopics
    from stream_scorer.wiring.brokers import log_reader
    from stream_scorer.wiring.streaming import join_config

    own = settings.topics
    topics = VerifyTopics(own.requests, own.acceptances, own.rankings, own.outcomes, own.labels, own.dead_letters)
    names = [name for name, topic in own.each() if topic.of_customers]
    described = KafkaTopicAdmin(settings.kafka.client_config()).describe(names)
    states = {name: described[name] for name in names if name in described}
    if missing := [name for name in names if name not in described]:
        print(f"not searched, because they do not exist: {', '.join(missing)}", file=sys.stderr)
    with (
        contextlib.closing(log_reader(settings, settings.join.group)) as reader,
        progress_over("searched") as progress,
    ):
        return locate(
            customer, reader, buffer, Ground(topics, states, join_config(settings).horizons), progress=progress
        )


def _tell(found: "Whereabouts", removed: "Mapping[str, int]", held: str, *, as_json: bool) -> None:
    import json
    from dataclasses import asdict

    if as_json:
        print(json.dumps({**asdict(found), "known": found.known, "removed": removed, "held": held}, indent=2))
        return
    print(f"{'topic':<24}{'records':>10}  gone by")
    for trace in found.topics:
        print(f"{trace.topic:<24}{trace.records:>10,}  {_day(trace.gone_by_ms) if trace.records else ''}")
    held_now = found.open_requests
    until = f", held until event time is past {_day(held_now.until_ms)}" if held_now.count and held == "left" else ""
    print(f"open requests: {held_now.count:,}{until}")
    verb = "rows, left where they are" if held == "left" else "rows removed"
    for path, count in (found.rows if held == "left" else removed).items():
        print(f"{path}: {count:,} {verb}")
    if held != "left":
        print(f"held by joiners: {held}")
        print("models trained on the rows stay until they are replaced")


def _day(time_ms: int | None) -> str:
    from datetime import UTC, datetime

    from stream_scorer.core.messages import TIME_MS_MAX

    if time_ms is None or not 0 <= time_ms <= TIME_MS_MAX:
        return "never: no retention"
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
