"""`stream-scorer topics`."""

from typing import TYPE_CHECKING, Annotated

import typer

from stream_scorer.cli.options import Json, Partitions, of_setting, refuse_given, settings_of

if TYPE_CHECKING:
    from stream_scorer.settings import Settings


def topics(
    ctx: typer.Context,
    *,
    partitions: Partitions = None,
    replication_factor: Annotated[
        int | None, of_setting("topics.replication_factor", "Copies of each partition.", min=1)
    ] = None,
    grow: Annotated[
        int | None,
        typer.Option(
            min=1,
            show_default=False,
            help="Grow rankings, outcomes and labels to this many partitions, and adopt them.",
        ),
    ] = None,
    adopt: Annotated[
        bool, typer.Option("--adopt", help="Let a drained ring go on with the present topics and settings.")
    ] = False,
    drop_open: Annotated[
        bool,
        typer.Option(
            "--drop-open", help="With --grow or --adopt: go on although requests are open; they get no further labels."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Create the topics that are missing, and show how those that exist differ from the settings; nothing is deleted.

    Only --grow changes topics that exist. --grow and --adopt need rank and join stopped, and no request open.
    """
    if adopt or grow is not None:
        refuse_given(ctx, {"partitions", "replication_factor"}, "--grow and --adopt create no topic")
    else:
        refuse_given(ctx, {"drop_open"}, "it belongs to --grow and --adopt")
    settings = settings_of(ctx, {"topics.partitions": partitions, "topics.replication_factor": replication_factor})
    if adopt or grow is not None:
        _adopt(settings, grow_to=grow, drop_open=drop_open, as_json=as_json)
    else:
        _create(settings, as_json=as_json)


def _create(settings: "Settings", *, as_json: bool) -> None:
    import json

    from stream_scorer.adapters.kafka.admin import KafkaTopicAdmin
    from stream_scorer.services.operating.topics import create_topics
    from stream_scorer.topic_plan import topic_specs

    results = create_topics(KafkaTopicAdmin(settings.kafka.client_config()), topic_specs(settings))
    if as_json:
        rows = [
            {"topic": result.spec.name, "action": result.action, "differences": result.differences}
            for result in results
        ]
        print(json.dumps(rows, indent=2))
        return
    for result in results:
        print(f"{result.spec.name:<24} {result.action:<8} {'; '.join(result.differences)}".rstrip())


def _adopt(settings: "Settings", *, grow_to: int | None, drop_open: bool, as_json: bool) -> None:
    import contextlib
    import json
    from dataclasses import asdict

    from stream_scorer.adapters.kafka.admin import KafkaTopicAdmin
    from stream_scorer.services.streaming.adoption import RingGroup, adopt
    from stream_scorer.wiring.brokers import log_reader
    from stream_scorer.wiring.streaming import join_config, rank_config

    names, config = rank_config(settings).topics, join_config(settings)
    admin = KafkaTopicAdmin(settings.kafka.client_config())
    with (
        contextlib.closing(log_reader(settings, settings.join.group)) as join,
        contextlib.closing(log_reader(settings, settings.rank.group)) as rank,
    ):
        adopted = adopt(
            admin,
            RingGroup(settings.join.group, join, [names.rankings, names.outcomes]),
            RingGroup(settings.rank.group, rank, [names.requests, names.acceptances]),
            config,
            names,
            grow_to=grow_to,
            drop_open=drop_open,
        )
    if as_json:
        print(json.dumps(asdict(adopted)))
        return
    before = "no state yet" if adopted.before is None else f"{adopted.before.partitions} partitions"
    print(f"the ring had {before}, and goes on with {adopted.now.partitions} partitions")
    if adopted.dropped:
        print(f"{adopted.dropped:,} open or unread records were dropped: their requests get no further labels")
