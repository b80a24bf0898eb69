"""Where in a file a value is, the error that refuses it, and cautions about a file."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import structlog

from stream_scorer.adapters.tables.kinds import Kind, Misfit
from stream_scorer.errors import UsageError

_SHOWN_CHARS = 60


_listening: ContextVar[tuple[list[str], bool] | None] = ContextVar("listening", default=None)


@contextmanager
def heard(*, quiet: bool = False) -> Iterator[list[str]]:
    """Collect the cautions given inside the block, each once, also those that the process has already shown before.

    With `quiet` they are only collected, and the caller shows them.
    """
    sentences: list[str] = []
    token = _listening.set((sentences, quiet))
    try:
        yield sentences
    finally:
        _listening.reset(token)


def caution(sentence: str) -> None:
    """Show a caution to the owner of a file, once a process, and add it to those that `heard` collects."""
    sentences, quiet = _listening.get() or ([], False)
    if sentence not in sentences:
        sentences.append(sentence)
    if not quiet:
        _say_once(sentence)


@lru_cache(maxsize=256)
def _say_once(sentence: str) -> None:
    """Show what the owner of a file may not have meant: on stderr, or as a log line where logging is set up.

    A file is read more than once; the cache keeps an equal sentence from being shown again.
    """
    if structlog.is_configured():
        structlog.get_logger(__name__).warning("caution", reason=sentence)
    else:
        sys.stderr.write(f"caution: {sentence}\n")


@dataclass(frozen=True, slots=True)
class Place:
    """A column of some rows of a file; `rows[i]` is the i-th row's number in the file, from 1."""

    file: Path
    column: str
    rows: Sequence[int]
    unit: Literal["line", "row"]

    def refusal(self, index: int, value: object, reason: str) -> UsageError:
        """Return the error that names the file, the row, the column, the reason and the value."""
        return UsageError(f"{self.file}, {self.unit} {self.rows[index]}: {self.column}: {reason}, got {shown(value)}")

    def converted(self, kind: Kind, values: Sequence[object]) -> list[Any]:
        """Return the values, converted. Raises UsageError for the first value that does not fit."""
        if kind.are_plain(values):
            return list(values)
        converted = []
        for index, value in enumerate(values):
            try:
                converted.append(kind.convert(value))
            except Misfit as misfit:
                raise self.refusal(index, value, str(misfit)) from None
        return converted


def shown(value: object) -> str:
    """Return a value as messages show it, shortened to a bounded length."""
    text = repr(value) if isinstance(value, str | bytes | list | dict) else str(value)
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…"
