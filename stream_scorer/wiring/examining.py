"""Gathers what an examination of the ring holds the outside to: topics, groups, and what is unsafe in settings."""

from stream_scorer.core.forms.topic_forms import Form
from stream_scorer.errors import NotReady, UsageError
from stream_scorer.ports import LogReader, ReleaseReader, TrainingBuffer
from stream_scorer.services.operating.doctor import Expected, Finding
from stream_scorer.services.operating.doctor_ring import RingState
from stream_scorer.settings import Settings
from stream_scorer.topic_plan import horizon_ms, topic_specs
from stream_scorer.topic_settings import FormedTopic
from stream_scorer.wiring.brokers import WRITTEN_TOPICS, forms_of, framed_topics
from stream_scorer.wiring.streaming import ring_standing

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_PAGE = {"http": "http.md", "ui": "live-page.md"}


def expected_of(settings: Settings, *, try_transactions: bool = True) -> Expected:
    """Return what the settings require of brokers and topics."""
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
        transactions=try_transactions and settings.loop.delivery == "exactly_once",
    )


def cautions(settings: Settings) -> list[Finding]:
    """Return what is unsafe in the settings themselves."""
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
    for command, address in (("http", settings.http.address), ("ui", settings.ui.address)):
        if address not in _LOOPBACK:
            says = f"{command}.address is {address}, and `stream-scorer {command}` asks nobody who calls"
            do = f"let only what asks so reach the port, such as an ingress; see docs/{_PAGE[command]}"
            found.append(Finding(command, "warning", says, do))
    return found


def form_findings(settings: Settings, *, wait_s: float) -> list[Finding]:
    """Return whether schemas are there for every topic that is framed for a registry; none is registered."""
    if not (framed := framed_topics(settings)):
        return []
    patience = settings.wire.model_copy(update={"registry_wait_s": wait_s})
    forms = forms_of(settings.model_copy(update={"wire": patience}))
    return [_form_finding(settings, topic, forms[topic]) for topic in framed]


def _form_finding(settings: Settings, topic: FormedTopic, form: Form) -> Finding:
    from stream_scorer.adapters.schema_registry.opening import FramedForm

    assert isinstance(form, FramedForm), "such are the forms of framed topics"
    try:
        says = form.look_at(getattr(settings.topics, topic), writes=topic in WRITTEN_TOPICS)
    except (NotReady, UsageError) as error:
        return Finding(f"wire.{topic}", "fault", str(error), "see docs/wire-formats.md, schemas in a registry")
    return Finding(f"wire.{topic}", "ok", says)


def ring_state(
    settings: Settings, reader: LogReader, releases: ReleaseReader, buffer: TrainingBuffer | None
) -> RingState:
    """Return what the ring's state was made with, for the doctor to compare; without a buffer, its files are not."""
    return RingState(
        lambda: ring_standing(settings, joins=True),
        reader,
        buffer,
        releases,
        settings.topics.labels,
        settings.topics.offers,
    )
