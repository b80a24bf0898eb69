"""Small re-rankers of both kinds, for tests: customers state a budget and a taste, offers a price and a genre."""

from typing import Any

import numpy as np

from stream_scorer.core.features.spec import Bag, Category, FeatureSpec, Number
from stream_scorer.core.reranking.coding import Coding
from stream_scorer.core.reranking.crosses import NOBODY, Cross, Difference, Match
from stream_scorer.core.reranking.network import NetworkReranker
from stream_scorer.core.reranking.pair_inputs import PairInputs
from stream_scorer.core.reranking.trees import LEAVES_MAX, Conditions, TreesReranker
from stream_scorer.core.towers.reranker import Shortlisted
from stream_scorer.core.towers.tower import Layer, Tower

CUSTOMERS = FeatureSpec(
    "customer",
    (
        Category("customer_id", ("c1", "c2"), from_id=True),
        Bag("taken", ("jazz", "rock", "folk")),
        Number("budget", mean=10.0, scale=0.1, indicator=True),
    ),
)
OFFERS = FeatureSpec("offer", (Category("genre", ("rock", "jazz")), Number("price", mean=10.0, scale=0.1)))
NONE = np.zeros(0, np.int64)

CUSTOMER_ROWS: list[dict[str, Any]] = [{"budget": 30.0, "taken": ["jazz"]}, {"budget": 5.0, "taken": []}, {}]
CUSTOMER_IDS = ["c1", "c2", "c9"]
OFFER_ROWS: list[dict[str, Any]] = [{"genre": "jazz", "price": 25.0}, {"genre": "rock", "price": 4.0}, {}]
OFFER_IDS = ["o1", "o2", "o3"]


def pair_inputs() -> PairInputs:
    crosses = (
        Cross(NOBODY, 0, 3, NONE, np.array([0.0, -0.5, 0.5])),
        Cross(0, 0, 3, np.array([4, 5]), np.array([0.25, 1.0])),
        Cross(1, 1, 3, NONE, np.linspace(-1.0, 1.0, 12)),
    )
    matches = (Match(1, 0, np.array([-1, 2, 1, -1])),)
    coded = Coding(CUSTOMERS, ((-0.2, 1.0),)), Coding(OFFERS, ((0.5,),))
    return PairInputs(*coded, crosses, matches, True, (Difference(0, 0, 0.5, -0.5, 0.0),))


def network(seed: int = 0) -> NetworkReranker:
    rng = np.random.default_rng(seed)
    halves = [_half(rng, spec) for spec in (CUSTOMERS, OFFERS)]
    layers = (
        Layer(rng.normal(size=(4, 5)), rng.normal(size=4), "relu"),
        Layer(rng.normal(size=(1, 4)), rng.normal(size=1)),
    )
    return NetworkReranker(pair_inputs(), halves[0], halves[1], rng.normal(size=(8, 7)), 2, layers)


def _half(rng: np.random.Generator, spec: FeatureSpec) -> Tower:
    table = rng.normal(size=(spec.table_rows, 3)).astype(np.float32)
    layer = Layer(rng.normal(size=(8, 3 * len(spec.slots) + spec.numbers)), rng.normal(size=8))
    return Tower(spec, table, "concat", (layer,))


def trees() -> TreesReranker:
    """Return two trees: budget, then price and tower score; and the match alone."""
    budget, price, score, match = 0, 2, 3, 8
    columns = [[0, 0, 0, 1], [budget, price, score, match]]
    conditions = Conditions(
        np.array(columns[0]),
        np.array(columns[1]),
        np.array([0.0, 0.5, 0.3, 0.5]),
        # leaves of the first tree: cheap budget and cheap price, cheap and dear, rich and low score, rich and high
        np.array([0b1100, 0b1110, 0b1011, 0b10], np.uint16),
    )
    leaves = np.zeros((2, LEAVES_MAX))
    leaves[0, :4], leaves[1, :2] = [0.5, -1.0, 0.1, 0.75], [-0.25, 2.0]
    return TreesReranker(pair_inputs(), conditions, leaves)


def shortlisted(requests: int = 3, offers: int = 3) -> Shortlisted:
    """Return every pair, with scores and ranks that differ."""
    request, offer = np.divmod(np.arange(requests * offers), offers)
    return Shortlisted(request, offer, np.linspace(-0.9, 0.9, requests * offers), 1 + (offer + request) % offers)
