"""Gives each request what its customer had accepted before, as the log itself shows it, without looking ahead.

The feature `accepted_before` is a bag of offer ids in which an offer stands as often as it was accepted: its mean
weighs offers by the customer's own counts.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from stream_scorer.core.datasets.chunks import ExampleChunk, ExampleSource, Ints, Views

ACCEPTED_BEFORE = "accepted_before"
ACCEPTED_BEFORE_MAX = 200


def accepted_before_stated(facts: Mapping[str, object]) -> int:
    """Return how many acceptances a model reads of each customer by the feature, as its facts state it; 0: none."""
    options = facts.get("options")
    most = options.get(ACCEPTED_BEFORE, 0) if isinstance(options, Mapping) else 0
    return min(most, ACCEPTED_BEFORE_MAX) if isinstance(most, int) and most > 0 else 0


class AcceptedBefore:
    """See ExampleSource. Requests without the feature get it from the log; what a label states stays as it is."""

    def __init__(self, examples: ExampleSource, most: int, earlier: ExampleSource | None = None) -> None:
        """Take the `most` latest acceptances of each customer; `earlier` examples count, too, but are not yielded."""
        self._examples, self._most, self._earlier = examples, most, earlier
        self._log: _AcceptanceLog | None = None
        self.rows_filled = 0  # of the latest reading

    def chunks(self) -> Iterator[ExampleChunk]:
        """See ExampleSource.chunks."""
        if self._log is None:  # all examples are read once more: they need not be in order of time
            sources = [self._examples] if self._earlier is None else [self._earlier, self._examples]
            self._log = _AcceptanceLog.of(chain.from_iterable(source.chunks() for source in sources))
        self.rows_filled = 0
        for chunk in self._examples.chunks():
            yield self._filled(chunk, self._log)

    def _filled(self, chunk: ExampleChunk, log: "_AcceptanceLog") -> ExampleChunk:
        first, end = log.before(chunk)
        first = np.maximum(first, end - self._most)
        own = np.array([ACCEPTED_BEFORE in features for features in chunk.customers.features], np.bool_)[chunk.customer]
        first, end = np.where(own, 0, first), np.where(own, 0, end)
        self.rows_filled += int((end > first).sum())
        # Rows that share a view, and between which their customer accepted nothing, still share one.
        views, view_of = np.unique(np.stack([chunk.customer, first, end], axis=1), axis=0, return_inverse=True)
        return replace(chunk, customers=log.views(chunk.customers, views), customer=view_of.reshape(-1))


@dataclass(frozen=True, slots=True)
class _AcceptanceLog:
    """All acceptances (n,), by customer and then by the time at which they were known."""

    customers: Mapping[str, int]
    offers: Sequence[str]
    times: Ints  # the distinct times, in order
    key: Ints  # customer * number of times + place of the time
    offer: npt.NDArray[np.int32]

    @staticmethod
    def of(chunks: Iterator[ExampleChunk]) -> "_AcceptanceLog":
        customers: dict[str, int] = {}
        offers: dict[str, int] = {}
        parts: list[tuple[Ints, Ints, Ints]] = []
        for chunk in chunks:
            who = np.array([customers.setdefault(one, len(customers)) for one in chunk.customers.ids], np.int64)
            which = np.array([offers.setdefault(one, len(offers)) for one in chunk.offers.ids], np.int64)
            accepted = np.flatnonzero(chunk.accepted == 1)
            # An acceptance is known when it comes, and that is never before its request, whatever a label states.
            known_ms = np.maximum(chunk.request_time_ms, chunk.label_time_ms)[accepted]
            parts.append((who[chunk.customer[accepted]], which[chunk.offer[accepted]], known_ms))
        nothing = np.zeros(0, np.int64)
        who, which, known_ms = (np.concatenate(column) for column in zip((nothing,) * 3, *parts, strict=True))
        times, place = np.unique(known_ms, return_inverse=True)
        key = who * len(times) + place.reshape(-1)
        order = np.argsort(key, kind="stable")
        return _AcceptanceLog(customers, list(offers), times, key[order], which[order].astype(np.int32))

    def before(self, chunk: ExampleChunk) -> tuple[Ints, Ints]:
        """Return where the acceptances begin and end (n,) that were known strictly before each row's request."""
        who = np.array([self.customers.get(one, -1) for one in chunk.customers.ids], np.int64)[chunk.customer]
        first = who * len(self.times)
        end = first + np.searchsorted(self.times, chunk.request_time_ms)
        return np.searchsorted(self.key, first), np.searchsorted(self.key, end)

    def views(self, customers: Views, views: Ints) -> Views:
        """Return views (customer, first, end) with the bag; a customer without acceptances gets no feature."""
        ids, features = [], []
        for view, first, end in views.tolist():
            ids.append(customers.ids[view])
            features.append(self._with_bag(customers.features[view], self.offer[first:end]))
        return Views(ids, features)

    def _with_bag(self, features: Mapping[str, Any], offers: npt.NDArray[np.int32]) -> Mapping[str, Any]:
        if not len(offers):
            return features
        return {**features, ACCEPTED_BEFORE: [self.offers[one] for one in offers.tolist()]}
