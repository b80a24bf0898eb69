"""How good modules in training are on held-out rows."""

from typing import Any

import numpy as np
import torch

from stream_scorer.core.evaluation import auc_within
from stream_scorer.core.ranking_quality import Pairs, ranking_quality, top_k
from stream_scorer.core.training_set import Places, TrainingSet
from stream_scorer.towers.modules import Batch, TowerModule

K = 10
_JUDGED_MAX = 2_000
_REPEATS_MIN = 0.2


@torch.no_grad()
def held_out_auc(data: TrainingSet, rows: Places, user: TowerModule, item: TowerModule) -> float | None:
    """Return the AUC within customers."""
    customers, customer_of = np.unique(data.customer[rows], return_inverse=True)
    offers, offer_of = np.unique(data.offer[rows], return_inverse=True)
    users = user(Batch.of(data.customers, customers.astype(np.int64))).cpu().numpy()
    items = item(Batch.of(data.offers, offers.astype(np.int64))).cpu().numpy()
    cosines: np.ndarray[Any, np.dtype[np.float32]] = np.einsum("np,np->n", users[customer_of.reshape(-1)], items[offer_of.reshape(-1)])
    return auc_within(data.who[rows], cosines, data.accepted[rows]).auc


@torch.no_grad()
def held_out_ndcg(data: TrainingSet, learned: Places, rows: Places, user: TowerModule, item: TowerModule) -> float:
    """Return the nDCG of the first ten of the whole catalog; of many customers, some are judged, the same ones every time.

    What a customer accepted in the rows learned from is left out, unless acceptances often repeat.
    """
    catalog, known = len(data.catalog), accepted_pairs(data, learned)
    relevant = accepted_pairs(data, rows)
    fresh = relevant.without(known, catalog=catalog)
    repeats = len(fresh.offer) < (1 - _REPEATS_MIN) * len(relevant.offer)
    relevant = relevant if repeats else fresh
    people = np.unique(relevant.customer)
    if not len(people):
        return 0.0
    people = people[np.unique(np.linspace(0, len(people) - 1, _JUDGED_MAX).astype(np.int64))]
    number = np.full(int(data.who.max()) + 1, -1)
    number[people] = np.arange(len(people))
    views = np.zeros(len(number), np.int64)
    views[data.who[rows]] = data.customer[rows]
    users = user(Batch.of(data.customers, views[people])).cpu().numpy()
    scores = users @ item(Batch.of(data.catalog, np.arange(catalog))).cpu().numpy().T
    if not repeats:
        known = _of(known, number)
        scores[known.customer, known.offer] = -np.inf
    return float(ranking_quality(top_k(scores, K), _of(relevant, number), catalog=catalog).ndcg.mean())


def accepted_pairs(data: TrainingSet, rows: Places) -> Pairs:
    """Return which customers accepted which offers of the catalog."""
    place = data.catalog_of[data.offer[rows]].astype(np.int64)
    kept = (place >= 0) & (data.accepted[rows] == 1)
    return Pairs.of(data.who[rows[kept]].astype(np.int64), place[kept], catalog=len(data.catalog))


def _of(pairs: Pairs, number: Places) -> Pairs:
    """Keep those of some customers, by their numbers."""
    kept = number[pairs.customer] >= 0
    return Pairs(number[pairs.customer[kept]], pairs.offer[kept])
