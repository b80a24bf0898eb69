"""`stream-scorer doctor`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from stream_scorer.cli.options import Json, settings_of

if TYPE_CHECKING:
    from stream_scorer.services.operating.doctor import Expected, Finding
    from stream_scorer.settings import Settings

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


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
    from stream_scorer.services.operating.doctor_ring import RingState, ring_findings
    from stream_scorer.wiring.brokers import log_reader
    from stream_scorer.wiring.labels import training_buffer
    from stream_scorer.wiring.stores import releases_on
    from stream_scorer.wiring.streaming import ring_standing

    settings = settings_of(ctx)
    redis = connect(settings.redis.url.get_secret_value(), timeout_s=timeout)
    admin = KafkaTopicAdmin(settings.kafka.client_config(), timeout_s=timeout)
    releases = releases_on(redis, settings)
    with closing(log_reader(settings, settings.buffer.group)) as reader:
        ring = RingState(
            lambda: ring_standing(settings, joins=True),
            reader,
            training_buffer(settings.buffer.folder),
            releases,
            settings.topics.labels,
            settings.topics.offers,
        )
        now_ms = SystemClock().now_ms()
        found = examine(
            admin,
            RedisAdmin(redis),
            releases,
            expected_of(settings),
            now_ms=now_ms,
            ring=lambda: ring_findings(ring),
            letters=lambda: letter_findings(reader, settings.topics.dead_letters, now_ms=now_ms),
        )
    _tell([*_cautions(settings), *found], as_json)


def expected_of(settings: "Settings") -> "Expected":
    """Return what the settings require of brokers and topics."""
    from stream_scorer.services.operating.doctor import Expected
    from stream_scorer.topic_plan import horizon_ms, topic_specs

    topics = settings.topics
    return Expected(
        specs=topic_specs(settings),
        aligned=(topics.rankings, topics.outcomes, topics.labels),
        kept_ms=dict.fromkeys((topics.rankings, topics.outcomes), horizon_ms(settings)),
        groups={
            settings.rank.group: ("rank", [topics.requests, topics.acceptances]),
            settings.join.group: ("join", [topics.rankings, topics.outcomes]),
            settings.buffer.group: ("buffer", [topics.labels]),
            settings.refresh.group: ("refresh", [topics.offers]),
        },
        transactions=settings.loop.delivery == "exactly_once",
    )


def _cautions(settings: "Settings") -> "list[Finding]":
    """Return what is unsafe in the settings themselves."""
    from stream_scorer.services.operating.doctor import Finding

    config = settings.kafka.client_config()
    hosts = {server.rpartition(":")[0] for server in settings.kafka.bootstrap_servers.split(",")}
    found = []
    if (
        hosts - {"localhost", "127.0.0.1", "[::1]"}
        and "ssl" not in str(config.get("security.protocol", "plaintext")).lower()
    ):
        protocol = config.get("security.protocol", "plaintext")
        says = f"security.protocol is {protocol}, and the brokers are on other machines"
        found.append(Finding("encryption", "warning", says, 'set kafka.client."security.protocol" to ssl or sasl_ssl'))
    if str(config.get("enable.ssl.certificate.verification", "true")).lower() == "false":
        found.append(
            Finding(
                "encryption", "warning", "the brokers' certificates are not verified", "set ssl.ca.location instead"
            )
        )
    if settings.http.address not in _LOOPBACK:
        says = f"http.address is {settings.http.address}, and `stream-scorer http` asks nobody who calls"
        do = "let only what asks so reach the port, such as an ingress; see docs/http.md"
        found.append(Finding("http", "warning", says, do))
    return found


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
