"""The transactional batch loop that rank and join share: fetch, compute, write with progress, in this order.

Nothing is computed while a transaction is open, and partitions change hands only inside `fetch`, so no rebalance ever
meets an open transaction. The steps must not be reordered.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import structlog
from tenacity import Retrying, retry_if_exception, stop_after_attempt

from stream_scorer.core.records import DeadLetter, OutputRecord, Partition, Progress, Record, last_times_of
from stream_scorer.errors import BatchAborted, FatalStreamError, StreamScorerError
from stream_scorer.ports import NO_TRACING, BatchReport, Clock, Fetched, RecordSink, RecordSource, Telemetry, Tracing

SourceT = TypeVar("SourceT", bound=RecordSource)
log = structlog.get_logger(__name__)

UNASSIGNED_S_MAX = 30.0
LAG_EVERY_S = 1.0
ABORTS_IN_A_ROW_MAX = 20


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be written of a batch, whole or not at all."""

    records: Sequence[Record]
    outputs: Sequence[OutputRecord]
    dead_letters: Sequence[DeadLetter]
    progress: Progress


class Job(Protocol):
    """What differs between the loops."""

    name: str

    def process(self, fetched: Fetched) -> Work | None:
        """Compute; None when there is nothing to write."""

    def written(self, work: Work) -> None:
        """Note that the work was written."""

    def aborted(self) -> None:
        """Go back to the committed positions: nothing of the last work was written."""

    def idle(self) -> bool:
        """Return whether nothing is under way besides reading."""


@dataclass(frozen=True, slots=True)
class LoopBounds:
    """How much a batch holds and how long each step may wait."""

    batch_records_max: int
    linger_s: float
    poll_s: float
    write_attempts_max: int


class Loop(Generic[SourceT]):
    """One worker."""

    def __init__(
        self,
        job: Job,
        source: SourceT,
        sink: RecordSink[SourceT],
        *,
        bounds: LoopBounds,
        clock: Clock,
        telemetry: Telemetry,
        look: Callable[[Fetched], None] = lambda fetched: None,
        tracing: Tracing = NO_TRACING,
    ) -> None:
        """Drive `job` from `source` to `sink`; `look` sees every fetch before the job does."""
        self._tracing = tracing
        self._job, self._source, self._sink = job, source, sink
        self._bounds, self._clock, self._telemetry, self._look = bounds, clock, telemetry, look
        self._held: set[Partition] = set()
        self._ended: set[Partition] = set()
        self._read_ms: dict[Partition, int] = {}
        self._quiet_since_s = clock.monotonic_s()
        self._aborts_in_a_row = 0
        self._lag_read_s = 0.0
        self._tries = Retrying(
            retry=retry_if_exception(_may_be_written), stop=stop_after_attempt(bounds.write_attempts_max), reraise=True
        )

    def run(self, *, stopping: Callable[[], bool], until_idle_s: float | None = None) -> None:
        """Work until `stopping`, or until all partitions are read to their ends and nothing came for `until_idle_s`."""
        log.debug("loop_started", job=self._job.name, until_idle_s=until_idle_s)
        while not stopping() and not self._idle_for(until_idle_s):
            self._step()

    def _step(self) -> None:
        fetched = self._fetch()
        self._note(fetched)
        self._look(fetched)
        with self._tracing.batch(self._job.name, fetched.records) as batch:
            work = self._process(fetched)
            if work is None:
                return
            produced = Counter([output.topic for output in work.outputs])
            written = self._write(work, batch.marked(work.outputs), produced)
            if not written:
                batch.failed(BatchAborted.__name__)
        # What the clock alone brings about, as windows that close, is no sign that more will come
        if fetched.records or not written:
            self._quiet_since_s = self._clock.monotonic_s()
        if written:
            self._telemetry.batch(self._report(work, produced))

    def _fetch(self) -> Fetched:
        bounds, started_s = self._bounds, self._clock.monotonic_s()
        fetched = self._source.fetch(
            records_max=bounds.batch_records_max, wait_s=bounds.poll_s, linger_s=bounds.linger_s
        )
        if fetched.records:
            self._telemetry.took(self._job.name, "poll", self._clock.monotonic_s() - started_s)
        return fetched

    def _process(self, fetched: Fetched) -> Work | None:
        started_s = self._clock.monotonic_s()
        work = self._job.process(fetched)
        computed_s = self._clock.monotonic_s()
        if fetched.records or work is not None:
            self._telemetry.took(self._job.name, "process", computed_s - started_s)
        self._report_lag(computed_s)
        return work

    def _report_lag(self, now_s: float) -> None:
        if now_s - self._lag_read_s >= LAG_EVERY_S:
            self._lag_read_s = now_s
            self._telemetry.polled(self._job.name, self._source.lag(), self._read_ms)

    def _report(self, work: Work, produced: Mapping[str, int]) -> BatchReport:
        oldest_ms = min([record.timestamp_ms for record in work.records], default=None)
        return BatchReport(
            self._job.name,
            consumed=Counter([record.topic for record in work.records]),
            produced=produced,
            dead_letters=Counter((letter.record.topic, letter.code) for letter in work.dead_letters),
            oldest_s=None if oldest_ms is None else max(0.0, (self._clock.now_ms() - oldest_ms) / 1000),
        )

    def _note(self, fetched: Fetched) -> None:
        self._telemetry.fetched(self._job.name, fetched)
        for trouble in fetched.troubles:
            log.warning("broker_trouble", job=self._job.name, reason=trouble)
        changed = fetched.assignment
        if changed.gained or changed.dropped:
            self._held = (self._held - set(changed.dropped)) | set(changed.gained)
            self._quiet_since_s = self._clock.monotonic_s()
            log.info(
                "partitions_assigned",
                job=self._job.name,
                gained=len(changed.gained),
                dropped=len(changed.dropped),
                held=len(self._held),
            )
        for dropped in changed.dropped:
            self._read_ms.pop(dropped, None)
        read_ms = last_times_of(fetched.records)
        self._read_ms |= read_ms
        self._ended -= read_ms.keys()
        self._ended = (self._ended | set(fetched.ended)) & self._held

    def _idle_for(self, until_idle_s: float | None) -> bool:
        if until_idle_s is None:
            return False
        quiet_s = self._clock.monotonic_s() - self._quiet_since_s
        if not self._held:
            return quiet_s >= max(until_idle_s, UNASSIGNED_S_MAX)
        return quiet_s >= until_idle_s and self._ended == self._held and self._job.idle()

    def _write(self, work: Work, outputs: Sequence[OutputRecord], produced: Mapping[str, int]) -> bool:
        try:
            for attempt in self._tries:
                with attempt, self._timed(produced):
                    self._try_to_write(work, outputs, attempt.retry_state.attempt_number)
        except BatchAborted:
            self._give_up()
            return False
        self._aborts_in_a_row = 0
        self._job.written(work)
        return True

    @contextmanager
    def _timed(self, produced: Mapping[str, int]) -> Iterator[None]:
        started_s, error = self._clock.monotonic_s(), ""
        try:
            yield
        except StreamScorerError as failure:
            error = type(failure).__name__
            raise
        finally:
            self._telemetry.took(self._job.name, "send", self._clock.monotonic_s() - started_s, error=error)
            self._telemetry.sent(self._job.name, produced, error=error)

    def _try_to_write(self, work: Work, outputs: Sequence[OutputRecord], attempt: int) -> None:
        try:
            self._sink.write(outputs, work.progress, self._source)
        except BatchAborted as error:
            self._telemetry.aborted(self._job.name)
            log.warning(
                "batch_aborted", job=self._job.name, reason=str(error), attempt=attempt, records=len(work.records)
            )
            raise

    def _give_up(self) -> None:
        self._aborts_in_a_row += 1
        if self._aborts_in_a_row > ABORTS_IN_A_ROW_MAX:
            msg = f"{self._aborts_in_a_row} batches in a row could not be written"
            raise FatalStreamError(msg)
        self._job.aborted()


def _may_be_written(error: BaseException) -> bool:
    return isinstance(error, BatchAborted) and not error.membership_lost
