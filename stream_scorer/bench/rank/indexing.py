"""Measures what an index in front costs and finds, beside exact ranking, by size of the catalog and share eligible."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_scorer.bench.job import DIM
from stream_scorer.core.messages import CustomerRequest, OfferId, ReleaseId
from stream_scorer.core.ranking.best_offers import Customers, Ranked, rank
from stream_scorer.core.ranking.index_building import build_index
from stream_scorer.core.ranking.recall import NOTHING_MEASURED, recall_of
from stream_scorer.core.releases.catalog import ALWAYS_MS, NEVER_MS, Catalog
from stream_scorer.core.releases.offer_index import Cluster, OpenIndex

SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
SHARES = (1.0, 0.5, 0.1, 0.01, 0.001, 0.0001)
DIM_LARGEST = 16  # of ten million offers, whose vectors of 64 numbers alone would take 2.6 GB
RECALL_MIN = 0.99
BATCH = 64
_BATCHES = 8
_CLUSTER_OFFERS = 200  # vectors without structure are no model of offers, and every index loses on them
_SPREAD = 0.7


@dataclass(frozen=True, slots=True)
class IndexCost:
    """Processor time of a request for ten offers, batches of 64; `by_index` is the share that the index answered.

    `build_s` is of the index as a whole, probes chosen and recall measured; None: the catalog is too small for one.
    """

    offers: int
    dim: int
    eligible: float
    exact_us: float
    planned_us: float
    recall: float
    by_index: float
    probes: int | None
    build_s: float | None


def measure_index(
    cluster: Cluster, open_index: OpenIndex, *, sizes: Sequence[int], shares: Sequence[float] = SHARES
) -> list[IndexCost]:
    """Rank the same requests exactly and as planned, in this process, for each size of catalog and share eligible."""
    costs: list[IndexCost] = []
    for size in sizes:
        catalog, customers = _world(size, DIM if size < SIZES[-1] else DIM_LARGEST)
        started_s = time.process_time()
        index, _ = build_index(catalog, cluster, open_index, recall_min=RECALL_MIN)
        build_s = time.process_time() - started_s
        for share in shares:
            eligible = np.random.default_rng(3).random(size) < share
            chosen = replace(catalog.indexed_by(index), active=eligible)
            cost = _cost(chosen, customers, share)
            costs.append(cost if index is None else replace(cost, probes=index.file.probes, build_s=build_s))
    return costs


def _cost(catalog: Catalog, customers: Customers, share: float) -> IndexCost:
    requests = [CustomerRequest(f"r{number}", f"c{number}", 0, {}) for number in range(BATCH)]
    exact_us, planned_us, recall, answered = [], [], NOTHING_MEASURED, 0
    rank(requests, customers[:BATCH], catalog)  # what is made once a catalog is made now
    for start in range(0, len(customers), BATCH):
        # in turn, so that a busy moment of the machine meets both
        exact, spent_us = _timed(requests, customers[start : start + BATCH], catalog, exact=True)
        exact_us.append(spent_us)
        planned, spent_us = _timed(requests, customers[start : start + BATCH], catalog, exact=False)
        planned_us.append(spent_us)
        recall = recall.plus(recall_of(planned, np.arange(BATCH), exact))
        answered += 0 if planned.by_index is None else int(planned.by_index.sum())
    return IndexCost(
        len(catalog),
        catalog.dim,
        share,
        min(exact_us),
        min(planned_us),
        recall.share,
        answered / len(customers),
        None,
        None,
    )


def _timed(
    requests: Sequence[CustomerRequest], customers: Customers, catalog: Catalog, *, exact: bool
) -> tuple[Ranked, float]:
    started_s = time.process_time()
    ranked = rank(requests, customers, catalog, exact=exact)
    return ranked, (time.process_time() - started_s) / len(requests) * 1e6


def _world(offers: int, dim: int) -> tuple[Catalog, Customers]:
    rng = np.random.default_rng(1)
    centres = rng.normal(size=(max(8, offers // _CLUSTER_OFFERS), dim)).astype(np.float32)
    vectors = _near(centres, offers, rng)
    catalog = Catalog.from_columns(
        ReleaseId("r-bench"),
        offer_ids=[OfferId(f"o{row:08d}") for row in range(offers)],
        vectors=vectors,
        fragments=[b"{}"] * offers,
        active=np.ones(offers, bool),
        valid_from_ms=np.full(offers, ALWAYS_MS),
        valid_until_ms=np.full(offers, NEVER_MS),
    )
    return catalog, _near(centres, BATCH * _BATCHES, rng).astype(np.float64)


def _near(centres: NDArray[np.float32], count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return vectors (count, p) of length 1, each beside one of the centres."""
    noise = rng.standard_normal((count, centres.shape[1]), np.float32)
    vectors = centres[rng.integers(0, len(centres), count)] + np.float32(_SPREAD) * noise
    normalised: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return normalised


def index_data(facts: Mapping[str, Any], costs: Sequence[IndexCost]) -> dict[str, Any]:
    """Return all figures as JSON values."""
    return {"facts": dict(facts), "index": [asdict(cost) for cost in costs]}


def index_page(facts: Mapping[str, Any], costs: Sequence[IndexCost]) -> str:
    """Return the figures as a page for people."""
    lines = [", ".join(f"{name.replace('_', ' ')} {value}" for name, value in facts.items()), ""]
    lines.append(
        f"{'offers':>10}{'numbers':>9}{'eligible':>10}{'exact µs':>10}{'planned µs':>12}{'recall':>8}"
        f"{'by index':>10}{'probes':>8}"
    )
    lines += [
        f"{cost.offers:>10,}{cost.dim:>9}{cost.eligible:>10.4g}{cost.exact_us:>10.0f}{cost.planned_us:>12.0f}{cost.recall:>8.4f}"
        f"{cost.by_index:>10.0%}{cost.probes or '-':>8}"
        for cost in costs
    ]
    built = {cost.offers: cost.build_s for cost in costs if cost.build_s is not None}
    return "\n".join([*lines, "", *(f"index of {offers:,} offers built in {s:.0f} s" for offers, s in built.items())])
