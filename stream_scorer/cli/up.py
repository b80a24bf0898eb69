"""`stream-scorer up`."""

import typer

from stream_scorer.cli.options import Json, Partitions, settings_of

WATCH_S = 0.5


def up(
    ctx: typer.Context,
    *,
    partitions: Partitions = None,
    as_json: Json = False,
) -> None:
    """Start a real Kafka with all topics and a Valkey, and print the settings that reach them.

    Ctrl-C stops both and removes all their data.
    """
    from threading import Event

    from stream_scorer.adapters.kafka.admin import KafkaTopicAdmin
    from stream_scorer.adapters.local.kafka import LocalKafka
    from stream_scorer.adapters.local.stopping import stop_signals
    from stream_scorer.adapters.local.valkey import LocalValkey
    from stream_scorer.errors import NotReady
    from stream_scorer.services.operating.topics import create_topics
    from stream_scorer.settings import LocalSettings
    from stream_scorer.topic_plan import topic_specs

    settings = settings_of(ctx, {"topics.partitions": partitions})
    places = LocalSettings()
    with LocalValkey() as valkey, LocalKafka(cache=places.cache, kafka_home=places.kafka_home) as kafka:
        create_topics(KafkaTopicAdmin({"bootstrap.servers": kafka.bootstrap_servers}), topic_specs(settings))
        stopping = stop_signals()
        _print(
            {
                "STREAM_SCORER_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
                "STREAM_SCORER_REDIS__URL": valkey.url,
                "STREAM_SCORER_TOPICS__PARTITIONS": str(settings.topics.partitions),
            },
            as_json=as_json,
        )
        while not stopping():
            Event().wait(WATCH_S)
            for name, running in (("Kafka", kafka.running()), ("Valkey", valkey.running())):
                if not running:
                    raise NotReady(f"{name} has stopped unexpectedly")


def _print(variables: dict[str, str], *, as_json: bool) -> None:
    import json

    if as_json:
        print(json.dumps(variables), flush=True)
        return
    print("Kafka and Valkey are running. Paste this into another terminal:\n")
    for name, value in variables.items():
        print(f"export {name}={value}")
    print("\nCtrl-C stops both and removes all their data.", flush=True)
