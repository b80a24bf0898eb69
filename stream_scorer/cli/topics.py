"""`stream-scorer topics`."""

from typing import Annotated

import typer

from stream_scorer.cli.options import Json, settings_of


def topics(
    ctx: typer.Context,
    *,
    partitions: Annotated[int | None, typer.Option(min=1, show_default=False, help="Partitions of each topic.")] = None,
    replication_factor: Annotated[
        int | None, typer.Option(min=1, show_default=False, help="Copies of each partition.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Create the topics that are missing, and say what differs in those that exist; nothing is changed or deleted."""
    import json

    from stream_scorer.adapters.kafka.admin import KafkaTopicAdmin
    from stream_scorer.services.operating.topics import create_topics
    from stream_scorer.topic_plan import topic_specs

    settings = settings_of(ctx, {"topics.partitions": partitions, "topics.replication_factor": replication_factor})
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
