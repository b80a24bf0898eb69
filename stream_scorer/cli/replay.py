"""`stream-scorer replay`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from stream_scorer.cli.options import Json, settings_of

if TYPE_CHECKING:
    from stream_scorer.adapters.tables.layouts import Layout
    from stream_scorer.services.operating.replay import Kind, Replayed
    from stream_scorer.topic_settings import TopicSettings


INTERRUPTED = 130


def replay(
    ctx: typer.Context,
    path: Annotated[Path, typer.Argument(help="Events as JSON lines, CSV or Parquet; the first two may be gzipped.")],
    *,
    topic: Annotated[str, typer.Option(help="The topic to send the events to.")],
    key: Annotated[
        str | None,
        typer.Option(
            show_default=False, help="The field that becomes the key; by default customer_id, for offers offer_id."
        ),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(min=0.001, show_default=False, help="Records a second; by default as fast as possible."),
    ] = None,
    speed: Annotated[
        float | None,
        typer.Option(min=0.001, show_default=False, help="How many times faster than the events' own times."),
    ] = None,
    format: Annotated[
        Literal["jsonl", "csv", "parquet"] | None,
        typer.Option(show_default=False, help="The file's format; by default its name tells."),
    ] = None,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Send even if the first record is no message of the topic.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Send a file of events to a topic. Exit 1 when a record is not delivered.

    Ctrl-C ends it; what is sent by then stays on the topic.
    """
    from stream_scorer.adapters.files.event_files import EventFile
    from stream_scorer.adapters.kafka.feed import KafkaFeed
    from stream_scorer.adapters.local.clock import SystemClock
    from stream_scorer.adapters.local.stopping import stop_signals
    from stream_scorer.cli.progress import progress_of
    from stream_scorer.errors import UsageError
    from stream_scorer.services.operating.replay import Pace, with_first_checked
    from stream_scorer.services.operating.replay import replay as send
    from stream_scorer.wiring.brokers import topic_forms

    settings = settings_of(ctx)
    if rate and speed:
        raise UsageError("--rate and --speed exclude each other")
    layout, usual_key = _layout(settings.topics, topic)
    events = EventFile(path, format=format, key=key or usual_key, layout=layout)
    kind = _kind(settings.topics, topic)
    sent = events if anyway or kind is None else with_first_checked(events, kind, topic)
    feed = KafkaFeed(settings.kafka.client_config(), topic, forms=topic_forms(settings))
    stopping, pace = stop_signals(), Pace(rate, speed)
    with progress_of(f"to {topic}", events.share) as progress:
        replayed = send(sent, feed, topic=topic, pace=pace, clock=SystemClock(), progress=progress, stopping=stopping)
    _tell(replayed, topic, as_json)
    if stopping():
        raise typer.Exit(INTERRUPTED)


def _layout(topics: "TopicSettings", topic: str) -> "tuple[Layout, str]":
    """Return the layout of the topic's messages, and which field is the key."""
    from stream_scorer.adapters.tables.layouts import ACCEPTANCES, OFFERS, RECORDS, REQUESTS

    if topic == topics.offers:
        return OFFERS, "offer_id"
    return {topics.requests: REQUESTS, topics.acceptances: ACCEPTANCES}.get(topic, RECORDS), "customer_id"


def _kind(topics: "TopicSettings", topic: str) -> "Kind | None":
    """Return the messages of a topic that users write; None for any other topic."""
    from stream_scorer.core.messages import Acceptance, CustomerRequest, Offer

    kinds: dict[str, Kind] = {topics.requests: CustomerRequest, topics.acceptances: Acceptance, topics.offers: Offer}
    return kinds.get(topic)


def _tell(replayed: "Replayed", topic: str, as_json: bool) -> None:
    import json
    from dataclasses import asdict

    if as_json:
        print(json.dumps(asdict(replayed)))
    else:
        rate = replayed.delivered / max(replayed.seconds, 1e-9)
        print(f"{replayed.delivered:,} records to {topic} in {replayed.seconds:.1f} s ({rate:,.0f}/s)")
    for reason, count in replayed.failures.items():
        print(f"{count:,} records were not delivered: {reason}", file=sys.stderr)
    if replayed.failures:
        raise typer.Exit(1)
