"""librdkafka's own log lines as events of ours."""

import re
import time

import structlog

log = structlog.get_logger(__name__)

REPEATED_AFTER_S = 60.0
REMEMBERED_MAX = 200
_FAILED = "FAIL"
# what differs from one line to the next about the same thing: thread, times, counts
_thread = re.compile(r"^\[thrd:[^\]]*\]: ")
_figures = re.compile(r"\(after \d+ms[^)]*\)|\d+")


class ClientLog:
    """The `logger` of a client: it passes lines on, a repeated line once a minute, and keeps why a broker failed last.

    The client hands its lines over only while it is polled.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        """With `quiet` no line is passed on, for callers who put the reason into a sentence of their own."""
        self.reason: str | None = None
        self._quiet = quiet
        self._seen_s: dict[str, float] = {}

    def log(self, level: int, _template: str, facility: str, client: str, text: str) -> None:
        """Take a line, as confluent_kafka calls a logger."""
        text = _thread.sub("", text)
        if facility == _FAILED:
            self.reason = text
        if not self._quiet and self._is_new(_figures.sub("", text)):
            log.log(level, "kafka_client", client=client, facility=facility, reason=text)

    def _is_new(self, text: str) -> bool:
        now_s = time.monotonic()
        if now_s - self._seen_s.get(text, -REPEATED_AFTER_S) < REPEATED_AFTER_S:
            return False
        if len(self._seen_s) >= REMEMBERED_MAX:
            self._seen_s.clear()
        self._seen_s[text] = now_s
        return True
