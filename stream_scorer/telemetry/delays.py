"""The histogram of acceptance delays, which is filled by the batch."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.metrics_core import HistogramMetricFamily

# one second to a day, of event time
_DELAYS = (1, 5, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 28800, 43200, 86400)


class DelayHistogram:
    """A Prometheus histogram of acceptance delays in event time.

    It is filled by the batch: to observe delays one by one costs more than to join them.
    """

    def __init__(self, registry: "CollectorRegistry") -> None:
        self._counts = np.zeros(len(_DELAYS) + 1, np.int64)
        self._sum_s = 0.0
        registry.register(self)

    def add(self, delays_ms: Sequence[int]) -> None:
        """Add delays."""
        if delays_ms:
            seconds = np.array(delays_ms) / 1000
            self._counts += np.bincount(np.searchsorted(_DELAYS, seconds), minlength=len(_DELAYS) + 1)
            self._sum_s += float(seconds.sum())

    def collect(self) -> "Iterator[HistogramMetricFamily]":
        """Yield the histogram, as prometheus_client asks collectors for it."""
        from prometheus_client.metrics_core import HistogramMetricFamily

        below = [*zip([*map(str, map(float, _DELAYS)), "+Inf"], np.cumsum(self._counts).tolist(), strict=True)]
        text = "Event time from request to acceptance, of offers that became accepted"
        yield HistogramMetricFamily(
            "stream_scorer_acceptance_delay_seconds", text, buckets=below, sum_value=self._sum_s
        )
