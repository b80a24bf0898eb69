"""Prepared pairs in which customers accept what is priced near their budget, for tests of re-rankers' training."""

import numpy as np

from stream_scorer.core.datasets.chunks import Views
from stream_scorer.core.datasets.training_set import side_of
from stream_scorer.core.two_stages.pairs import RequestPairs
from stream_scorer.training.reranking.prepared import PreparedPairs, columns_of
from tests import reranking_samples as samples


def prepared_pairs(requests: int = 60, *, choices: bool = False) -> PreparedPairs:
    rng = np.random.default_rng(0)
    budget, price = rng.uniform(0, 20, requests), rng.uniform(0, 20, 40)
    customers, _ = side_of(samples.CUSTOMERS, Views(["c1"] * requests, [{"budget": float(each)} for each in budget]))
    offers, _ = side_of(samples.OFFERS, Views(["o"] * 40, [{"genre": "rock", "price": float(each)} for each in price]))
    group = np.repeat(np.arange(requests), 8)
    offer = rng.integers(40, size=len(group))
    off = np.abs(budget[group] - price[offer])
    accepted = (off == np.minimum.reduceat(off, np.arange(0, len(off), 8))[group]).astype(np.int8)
    score, rank = rng.uniform(-1, 1, len(group)), np.tile(np.arange(1, 9), requests)
    pairs = RequestPairs(customers, offers, group, offer, group, accepted, score, rank, rank * (not choices))
    inputs = samples.pair_inputs()
    return PreparedPairs(pairs, columns_of(pairs, inputs), inputs, choices)
