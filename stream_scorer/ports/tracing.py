"""Spans of OpenTelemetry: one for each batch, linked with the spans in which its records were made."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol, Self

from stream_scorer.core.records import OutputRecord, Record


class BatchSpan(Protocol):
    """The span of the batch that is being processed and written."""

    def marked(self, outputs: Sequence[OutputRecord]) -> Sequence[OutputRecord]:
        """Return the outputs with this span's context in their headers, in place of the one that they had.

        Dead letters keep what their source's headers say.
        """

    def failed(self, error: str) -> None:
        """Note that nothing of the batch was written."""


class Tracing(Protocol):
    """Makes spans. Whatever becomes of them, a job neither waits for them nor fails over them."""

    def batch(self, job: str, records: Sequence[Record]) -> AbstractContextManager[BatchSpan]:
        """Open a span while these records are processed and written, none where there are no records."""


class NoTracing:
    """See Tracing and BatchSpan: makes no spans, and costs next to nothing."""

    def batch(self, job: str, records: Sequence[Record]) -> "NoTracing":
        """See Tracing.batch."""
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None: ...

    def marked(self, outputs: Sequence[OutputRecord]) -> Sequence[OutputRecord]:
        """Return the outputs as they are."""
        return outputs

    def failed(self, error: str) -> None:
        """See BatchSpan.failed."""


NO_TRACING = NoTracing()
