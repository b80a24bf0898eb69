"""How many of the best offers an index finds: measured at publish, and on a sample of the requests that it serves."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xxhash

from stream_scorer.core.messages import CustomerRequest
from stream_scorer.core.ranking.best_offers import Customers, Ranked, rank
from stream_scorer.core.ranking.eligibility import Numbers
from stream_scorer.core.releases.catalog import Catalog

JUDGED_REQUESTS_MIN = 200
SURE_ERRORS = 3.0


@dataclass(frozen=True, slots=True)
class Recall:
    """Offers that an index found of those `wanted`, over so many requests; their ratio is the recall at k."""

    found: int = 0
    wanted: int = 0
    requests: int = 0

    @property
    def share(self) -> float:
        """Return the recall; 1 where nothing was wanted."""
        return self.found / self.wanted if self.wanted else 1.0

    def plus(self, other: "Recall") -> "Recall":
        """Return the recall over the requests of both."""
        return Recall(self.found + other.found, self.wanted + other.wanted, self.requests + other.requests)

    def is_below(self, recall_min: float) -> bool:
        """Return whether the recall is surely below the bound: requests enough, and by more than chance explains.

        The standard error is of the bound, by requests and not by offers: what a request misses, it misses together.
        """
        if self.requests < JUDGED_REQUESTS_MIN:
            return False
        error = np.sqrt(max(recall_min * (1 - recall_min), 0.0) / self.requests)
        return bool(self.share < recall_min - SURE_ERRORS * error)


NOTHING_MEASURED = Recall()


def recall_of(ranked: Ranked, numbers: Numbers, exact: Ranked) -> Recall:
    """Compare the rankings of these requests with the exact ones, which are in the order of `numbers`.

    An offer counts as found by its score, so that of two that tie either is right.
    """
    found = 0
    for place, number in enumerate(numbers.tolist()):
        best = exact.scores[exact.starts[place] : exact.starts[place + 1]]
        own = ranked.scores[ranked.starts[number] : ranked.starts[number + 1]]
        found += int(np.count_nonzero(own >= best[-1])) if len(best) else 0
    return Recall(found, len(exact.scores), len(numbers))


def sampled_recall(
    requests: Sequence[CustomerRequest], customers: Customers, catalog: Catalog, ranked: Ranked, *, every: int
) -> Recall:
    """Rank one in `every` of the requests that an index answered exactly too, and compare; 0: none.

    `ranked` has the pools, where there is exploration, and a re-ranker's shortlists. Which requests these are follows
    from their own ids and their customers', since a mailing has one id for all its customers, who must not be ranked
    exactly all together.
    """
    if ranked.by_index is None or not every:
        return NOTHING_MEASURED
    answered = np.flatnonzero(ranked.by_index).tolist()
    numbers = np.array([number for number in answered if _hash(requests[number]) % every == 0], np.int64)
    if not len(numbers):
        return NOTHING_MEASURED
    lengths = np.diff(ranked.starts)[numbers]
    # a ranking is as long as it may be: it is shorter than its limit only where fewer offers are eligible
    exact = rank([requests[number] for number in numbers], customers[numbers], catalog, limits=lengths, exact=True)
    return recall_of(ranked, numbers, exact)


def _hash(request: CustomerRequest) -> int:
    return xxhash.xxh3_64_intdigest(f"{request.request_id}\n{request.customer_id}".encode())
