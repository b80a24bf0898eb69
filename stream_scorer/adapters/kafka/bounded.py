"""Calls into the client that may wait for a broker for ever, whatever time-out they are given."""

from collections.abc import Callable
from threading import Thread

from confluent_kafka import KafkaException

from stream_scorer.errors import FatalStreamError


def within(timeout_s: float, call: Callable[[], None], *, doing: str) -> None:
    """Make a call in a thread of its own, and wait for it no longer than allowed.

    Raises what the call raises of Kafka's, and FatalStreamError without an answer: the call goes on, so the process
    must end.
    """
    raised: list[KafkaException] = []

    def run() -> None:
        try:
            call()
        except KafkaException as error:
            raised.append(error)

    waiting = Thread(target=run, name=doing, daemon=True)
    waiting.start()
    waiting.join(timeout_s)
    if waiting.is_alive():
        raise FatalStreamError(f"{doing}: no answer for {timeout_s:g} s")
    if raised:
        raise raised[0]
