"""Small real implementations of ports that tests need."""

from collections import Counter
from collections.abc import Callable, Mapping

from stream_scorer.core.features.coverage import FeatureCoverage
from stream_scorer.core.joining.written_labels import LabelTally
from stream_scorer.core.messages import ReleaseId
from stream_scorer.core.ranking.recall import Recall
from stream_scorer.core.records import Partition
from stream_scorer.ports import BatchReport, Fetched, IndexFault, Operation


class SilentTelemetry:
    """See Telemetry: keeps the reports and says nothing."""

    def __init__(self) -> None:
        self.reports: list[BatchReport] = []
        self.operations: list[tuple[Operation, str]] = []
        self.sendings: list[tuple[dict[str, int], str]] = []
        self.coverages: list[FeatureCoverage] = []
        self.recalls: list[Recall] = []
        self.restores: list[int] = []
        self.index_faults: list[IndexFault | None] = []
        self.expired: Counter[Partition] = Counter()
        self.lag: dict[Partition, int] = {}
        self.read_ms: dict[Partition, int] = {}

    def batch(self, report: BatchReport) -> None:
        """See Telemetry."""
        self.reports.append(report)

    def polled(self, job: str, lag: Mapping[Partition, int], read_ms: Mapping[Partition, int]) -> None:
        """See Telemetry."""
        self.lag.update(lag)
        self.read_ms.update(read_ms)

    def took(self, job: str, operation: Operation, seconds: float, *, error: str = "") -> None:
        """See Telemetry."""
        self.operations.append((operation, error))

    def sent(self, job: str, messages: Mapping[str, int], *, error: str = "") -> None:
        """See Telemetry."""
        self.sendings.append((dict(messages), error))

    def aborted(self, job: str) -> None:
        """See Telemetry."""

    def fetched(self, job: str, fetched: Fetched) -> None:
        """See Telemetry."""

    def restoring(self, job: str, partitions: int) -> None:
        """See Telemetry."""
        self.restores.append(partitions)

    def expired_unread(self, job: str, partition: Partition, records_max: int) -> None:
        """See Telemetry."""
        self.expired[partition] += records_max

    def release(self, release_id: ReleaseId, created_ms: int, *, forced: bool) -> None:
        """See Telemetry."""

    def features(self, coverage: FeatureCoverage) -> None:
        """See Telemetry."""
        self.coverages.append(coverage)

    def recall(self, recall: Recall) -> None:
        """See Telemetry."""
        self.recalls.append(recall)

    def index_given_up(self, reason: IndexFault | None) -> None:
        """See Telemetry."""
        self.index_faults.append(reason)

    def store_watched(self, state: Callable[[], str], silent_s: Callable[[], float]) -> None:
        """See Telemetry."""

    def labels(self, tally: LabelTally, answers: Mapping[str, int], open_requests: int) -> None:
        """See Telemetry."""
