"""What the services need of the outside.

Every port has a real adapter and a memory twin, held by one contract suite.
"""

from stream_scorer.ports.exchange import Exchange, RecordTail
from stream_scorer.ports.operating import (
    BatchReport,
    IndexFault,
    Operation,
    StoreAdmin,
    StoreFacts,
    Telemetry,
    TopicAdmin,
    TopicSpec,
    TopicState,
)
from stream_scorer.ports.registry import FetchedModel, ModelRegistry
from stream_scorer.ports.stores import ReleaseReader, ReleaseStore, Sorter, TrainingBuffer
from stream_scorer.ports.streams import (
    Assignment,
    Clock,
    Event,
    Fetched,
    LogReader,
    RecordFeed,
    RecordSink,
    RecordSource,
    SourceT,
)
from stream_scorer.ports.tracing import NO_TRACING, BatchSpan, NoTracing, Tracing

__all__ = [
    "NO_TRACING",
    "Assignment",
    "BatchReport",
    "BatchSpan",
    "Clock",
    "Event",
    "Exchange",
    "Fetched",
    "FetchedModel",
    "IndexFault",
    "LogReader",
    "ModelRegistry",
    "NoTracing",
    "Operation",
    "RecordFeed",
    "RecordSink",
    "RecordSource",
    "RecordTail",
    "ReleaseReader",
    "ReleaseStore",
    "Sorter",
    "SourceT",
    "StoreAdmin",
    "StoreFacts",
    "Telemetry",
    "TopicAdmin",
    "TopicSpec",
    "TopicState",
    "Tracing",
    "TrainingBuffer",
]
