"""Opens clients on real brokers."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from stream_scorer.adapters.kafka.exchange.delivery import KafkaExchange
from stream_scorer.adapters.local.clock import SystemClock
from stream_scorer.client.asynchronous import AsyncClient
from stream_scorer.client.blocking import Client
from stream_scorer.client.session import Session
from stream_scorer.settings import Settings
from stream_scorer.settings_sources import load_settings
from stream_scorer.wiring.brokers import topic_forms

TIMEOUT_S = 10.0
EXPECTED_MAX = 10_000
_NO_SETTINGS: Mapping[str, object] = {}


def connect(
    bootstrap_servers: str | None = None,
    *,
    settings: Mapping[str, object] = _NO_SETTINGS,
    config: str | Path | None = None,
    timeout_s: float = TIMEOUT_S,
    expected_max: int = EXPECTED_MAX,
) -> Client:
    """Return a client, which must be closed at the end, best by `with`.

    Topics, security and all else come from `settings`, by dotted name (`{"kafka.client": {...}}`), from STREAM_SCORER_*
    variables, and from the TOML file `config`. `timeout_s` bounds every wait, `expected_max` the rankings awaited at a
    time. A client that waits for rankings reads all of `rankings` and `dead-letters`, from when the first is expected.

    Raises UsageError for a wrong setting and a missing topic, NotReady when no broker answers in time.
    """
    session = _session(bootstrap_servers, settings, config, timeout_s=timeout_s, expected_max=expected_max)
    return Client(session, clock=SystemClock(), timeout_s=timeout_s)


@asynccontextmanager
async def connect_async(
    bootstrap_servers: str | None = None,
    *,
    settings: Mapping[str, object] = _NO_SETTINGS,
    config: str | Path | None = None,
    timeout_s: float = TIMEOUT_S,
    expected_max: int = EXPECTED_MAX,
) -> AsyncIterator[AsyncClient]:
    """Open a client for asyncio, for an `async with`, which closes it. See `connect`."""
    session = await asyncio.to_thread(
        _session, bootstrap_servers, settings, config, timeout_s=timeout_s, expected_max=expected_max
    )
    try:
        yield AsyncClient(session, timeout_s=timeout_s)
    finally:
        await asyncio.to_thread(session.close)


def _session(
    bootstrap_servers: str | None,
    settings: Mapping[str, object],
    config: str | Path | None,
    *,
    timeout_s: float,
    expected_max: int,
) -> Session:
    flags = settings if bootstrap_servers is None else {**settings, "kafka.bootstrap_servers": bootstrap_servers}
    loaded = load_settings(flags, file=None if config is None else Path(config).expanduser()).settings
    return open_session(loaded, timeout_s=timeout_s, expected_max=expected_max)


def open_session(settings: Settings, *, timeout_s: float, expected_max: int) -> Session:
    """Return a session, which must be closed. Raises as `connect` does, but for wrong settings."""
    topics = settings.topics
    sending = {"message.max.bytes": topics.record_bytes_max, "compression.type": settings.kafka.compression}
    exchange = KafkaExchange(
        settings.kafka.client_config(),
        [topics.requests, topics.acceptances],
        sending=sending,
        timeout_s=timeout_s,
        forms=topic_forms(settings, letters=True),
    )
    return Session(exchange, topics, expected_max=expected_max)
