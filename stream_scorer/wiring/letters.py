"""Builds what reads dead letters and sends their records again."""

import contextlib
from collections.abc import Iterator

from stream_scorer.adapters.kafka.log import KafkaLog
from stream_scorer.adapters.kafka.sink import TransactionalSink
from stream_scorer.services.letters.resending import Kind, ResendDoor, ResendRules
from stream_scorer.settings import Settings
from stream_scorer.wiring.brokers import log_reader, producer_config, topic_forms


def resend_rules(settings: Settings, letters_max: int) -> ResendRules:
    """Return which topics records are sent to again: those that users write, where each record is taken up anew.

    An outcome goes to acceptances, from which rank writes it again: `verify` counts each outcome by an acceptance.
    """
    topics = settings.topics
    # offers before the requests that are ranked by them, requests before the answers to them
    targets = {topic: topic for topic in (topics.offers, topics.requests, topics.acceptances)}
    targets[topics.outcomes] = topics.acceptances
    return ResendRules(
        topics.dead_letters,
        targets,
        topics.offers,
        topics.outcomes,
        settings.dead_letters.attempts_max,
        letters_max,
    )


def resend_group(settings: Settings, kind: Kind) -> str:
    """Return the name of a kind's consumer group, which is its transactional id as well."""
    return "-".join((settings.dead_letters.group, *kind))


@contextlib.contextmanager
def resend_door(settings: Settings, kind: Kind, *, dry_run: bool) -> Iterator[ResendDoor[KafkaLog]]:
    """Open a kind's group. The sink comes first: it fences whoever else is at it, whose offsets are then settled."""
    group = resend_group(settings, kind)
    with contextlib.ExitStack() as stack:
        sink = None if dry_run else stack.enter_context(contextlib.closing(_sink(settings, group, kind)))
        reader = stack.enter_context(contextlib.closing(log_reader(settings, group)))
        yield ResendDoor(reader, sink)


def _sink(settings: Settings, group: str, kind: Kind) -> TransactionalSink:
    # exactly once whatever loop.delivery is: what was sent twice by hand nobody would find again
    timeout_ms = settings.kafka.transaction_timeout_ms
    config = {**producer_config(settings), "transactional.id": group, "transaction.timeout.ms": timeout_ms}
    # a letter has the bytes of its topic's form already; only outcomes, which are plain, go to a topic of another form
    forms = topic_forms(settings) if kind[0] == settings.topics.outcomes else None
    return TransactionalSink(config, timeout_s=timeout_ms / 1000, forms=forms)
