"""Every metric that jobs serve, made by the jobs' own telemetry after each of its figures was given once."""

from collections import Counter
from collections.abc import Iterator
from typing import get_args

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.metrics_core import Metric

from stream_scorer.adapters.local.clock import HandClock
from stream_scorer.core.features.coverage import FeatureCoverage
from stream_scorer.core.joining.written_labels import LabelTally
from stream_scorer.core.messages import ReleaseId
from stream_scorer.core.ranking.recall import Recall
from stream_scorer.core.records import Partition, Record
from stream_scorer.health import Health
from stream_scorer.http_door.door_metrics import DoorMetrics
from stream_scorer.ports import Assignment, BatchReport, Fetched, IndexFault, Operation
from stream_scorer.services.streaming.joiner import FATES
from stream_scorer.services.streaming.worker_pages import WorkerPages
from stream_scorer.telemetry.prometheus import PrometheusTelemetry

_PLACE = Partition("requests", 0)
_RECORD = Record("requests", 0, 0, None, b"{}", 0)


class _Nobody:
    """See Workers."""

    def ask(self, name: str, path: str) -> None:
        """Give no answer."""

    def age_s(self, name: str) -> float:
        """Return the same age always."""
        return 0.0


def families() -> Iterator[Metric]:
    """Yield every metric with a sample of each of its labels, those of `serve` and of the process included."""
    registry, clock = CollectorRegistry(), HandClock(0)
    telemetry = PrometheusTelemetry(registry, health=Health(clock, stalled_after_s=1), clock=clock)
    registry.register(WorkerPages(["rank-0"], _Nobody(), stalled_after_s=1))
    ProcessCollector(registry=registry)
    one = {"requests": 1}
    telemetry.batch(BatchReport("rank", one, one, {("requests", "not_json"): 1}, 1.0))
    for operation in get_args(Operation):
        telemetry.took("rank", operation, 1.0)
    telemetry.took("rank", "send", 1.0, error="BatchAborted")
    telemetry.sent("rank", one)
    telemetry.polled("rank", {_PLACE: 1}, {_PLACE: 0})
    telemetry.aborted("rank")
    telemetry.fetched("rank", Fetched([_RECORD], Assignment(gained=(_PLACE,))))
    telemetry.expired_unread("rank", _PLACE, 1)
    telemetry.release(ReleaseId("r"), 0, forced=True)
    telemetry.features(FeatureCoverage("customer", ("age",), 1))
    telemetry.recall(Recall(found=9, wanted=10, requests=1))
    for reason in get_args(IndexFault):
        telemetry.index_given_up(reason)
    telemetry.retrained("held")
    telemetry.labels(
        LabelTally(Counter(accepted=1), closed=Counter(r=1), accepted=Counter(r=1)), Counter(FATES.values()), 1
    )
    door = DoorMetrics(registry)
    for status in (200, 503, 504):
        door.answered("/rank", status, 0.1)
    door.in_flight(0)
    yield from registry.collect()


def labels_of(family: Metric) -> list[str]:
    """Return the labels of a metric; `le` is the bound of a histogram's bucket, which every histogram has."""
    return list(dict.fromkeys(label for sample in family.samples for label in sample.labels if label != "le"))
