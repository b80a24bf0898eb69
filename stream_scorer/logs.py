"""Logging to stderr: events with fields, as JSON lines or as text for people.

Where `log.format` is json, whatever else this process writes to stderr of itself is such a line as well: the log of
libraries, warnings, the traceback of a crash, and the sentence at the end.
"""

import logging
import sys
import threading
from collections.abc import MutableMapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from stream_scorer.settings import LogSettings

log = structlog.get_logger(__name__)


def set_up_logging(settings: "LogSettings", *, instance: str = "") -> None:
    """Log events from `settings.level` on; JSON lines bear the name of this worker as `instance`, where it has any."""
    console = settings.format == "console" or (settings.format == "auto" and sys.stderr.isatty())
    renderer = (
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        if console
        else structlog.processors.JSONRenderer()
    )

    def name(logger: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        # not a context variable: threads, in which releases are followed and joins restored, begin without any
        return {**event, "instance": instance} if instance and not console else event

    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            name,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[settings.level.upper()]),
        # Looked up at each line: whoever uses us as a library may replace it. A line and its end are one write, so that
        # what another thread writes to stderr cannot come between.
        logger_factory=lambda *_: structlog.WriteLogger(sys.stderr),
    )
    if settings.format == "json":
        _take_in_all()


def every_line_is_json() -> bool:
    """Return whether this process may write nothing but JSON lines to stderr."""
    return any(isinstance(each, _LibraryLog) for each in logging.getLogger().handlers)


def log_end(reason: str, exit_code: int, error: str) -> None:
    """Log why this process ends; `error` names the kind of error, for programs that tell kinds apart."""
    log.log(logging.ERROR if exit_code else logging.INFO, "ended", reason=reason, exit_code=exit_code, error=error)


def _take_in_all() -> None:
    logging.basicConfig(handlers=[_LibraryLog()], level=logging.WARNING, force=True)
    logging.captureWarnings(True)
    sys.excepthook = _log_crash
    threading.excepthook = _log_crash_of_thread


class _LibraryLog(logging.Handler):
    """Takes lines that libraries log in Python's own way."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log a line as an event; levels between two of Python's count as the lower one."""
        level = min(logging.CRITICAL, max(logging.DEBUG, record.levelno // 10 * 10))
        log.log(level, "library_log", logger=record.name, reason=record.getMessage(), exc_info=record.exc_info)


def _log_crash(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    log.critical("crashed", reason=f"{kind.__name__}: {error}", exc_info=(kind, error, trace))


def _log_crash_of_thread(crash: "threading.ExceptHookArgs") -> None:
    if crash.exc_value is None or isinstance(crash.exc_value, SystemExit):  # by which a thread may end itself
        return
    with structlog.contextvars.bound_contextvars(thread=None if crash.thread is None else crash.thread.name):
        _log_crash(crash.exc_type, crash.exc_value, crash.exc_traceback)
