"""`stream-scorer doctor`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from stream_scorer.cli.options import Json, settings_of

if TYPE_CHECKING:
    from stream_scorer.services.operating.doctor import Finding


def doctor(
    ctx: typer.Context,
    *,
    timeout: Annotated[
        float, typer.Option(min=0.1, max=60, help="Seconds to wait for each answer of a broker or of Redis.")
    ] = 5.0,
    as_json: Json = False,
) -> None:
    """Check brokers, topics, groups, Redis and the release, and print what to do about every warning and fault.

    Exit 1 when there is a fault.
    """
    from contextlib import closing

    from stream_scorer.adapters.kafka.admin import KafkaTopicAdmin
    from stream_scorer.adapters.local.clock import SystemClock
    from stream_scorer.adapters.redis.admin import RedisAdmin
    from stream_scorer.adapters.redis.client import connect
    from stream_scorer.services.letters.doctor_letters import letter_findings
    from stream_scorer.services.operating.doctor import examine
    from stream_scorer.services.operating.doctor_index import index_findings
    from stream_scorer.services.operating.doctor_ring import ring_findings
    from stream_scorer.wiring.brokers import log_reader
    from stream_scorer.wiring.examining import cautions, expected_of, form_findings, ring_state
    from stream_scorer.wiring.labels import training_buffer
    from stream_scorer.wiring.stores import releases_on

    settings = settings_of(ctx)
    redis = connect(settings.redis.url.get_secret_value(), timeout_s=timeout)
    admin = KafkaTopicAdmin(settings.kafka.client_config(), timeout_s=timeout)
    releases = releases_on(redis, settings)
    with closing(log_reader(settings, settings.buffer.group)) as reader:
        ring = ring_state(settings, reader, releases, training_buffer(settings.buffer.folder))
        now_ms = SystemClock().now_ms()
        found = examine(
            admin,
            RedisAdmin(redis),
            releases,
            expected_of(settings),
            now_ms=now_ms,
            ring=lambda: ring_findings(ring),
            letters=lambda: letter_findings(reader, settings.topics.dead_letters, now_ms=now_ms),
            index=lambda: index_findings(releases_on(redis, settings, ranks=True), recall_min=settings.rank.recall_min),
        )
    _tell([*cautions(settings), *form_findings(settings, wait_s=timeout), *found], as_json)


def _tell(findings: "Sequence[Finding]", as_json: bool) -> None:
    import json
    from dataclasses import asdict

    if as_json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        for finding in findings:
            print(f"{finding.state:<8} {finding.check:<22} {finding.says}")
            if finding.do and finding.state != "ok":
                print(f"{'':<8} {'':<22} do: {finding.do}")
    if any(finding.state == "fault" for finding in findings):
        raise typer.Exit(1)
