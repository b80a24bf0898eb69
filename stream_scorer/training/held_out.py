"""How good modules in training are on held-out rows."""

from typing import Any

import numpy as np
import torch

from stream_scorer.core.datasets.training_set import Places, TrainingSet
from stream_scorer.core.evaluation.auc import auc_within
from stream_scorer.core.evaluation.ranking_quality import AcceptedPairs, ranking_quality
from stream_scorer.training.modules import Batch, TowerModule

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
    cosines: np.ndarray[Any, np.dtype[np.float32]] = np.einsum(
        "np,np->n", users[customer_of.reshape(-1)], items[offer_of.reshape(-1)]
    )
    return auc_within(data.who[rows], cosines, data.accepted[rows]).auc


class HeldOutRanking:
    """Ranks the whole catalog for customers with held-out acceptances.

    Of many customers it judges a fixed, evenly spaced sample, so that epochs compare. Offers that a customer accepted
    in the training rows are left out, unless acceptances often repeat.
    """

    def __init__(self, data: TrainingSet, learned: Places, rows: Places) -> None:
        """Choose the customers to judge, and which held-out offers are relevant to each."""
        self.data, self.catalog = data, len(data.catalog)
        known, relevant = _accepted_pairs(data, learned), _accepted_pairs(data, rows)
        fresh = relevant.without(known, catalog=self.catalog)
        repeats = len(fresh.offer) < (1 - _REPEATS_MIN) * len(relevant.offer)
        relevant = relevant if repeats else fresh
        people = np.unique(relevant.customer)
        if len(people):
            people = people[np.unique(np.linspace(0, len(people) - 1, _JUDGED_MAX).astype(np.int64))]
        number = np.full(int(data.who.max()) + 1, -1)
        number[people] = np.arange(len(people))
        views = np.zeros(len(number), np.int64)
        views[data.who[rows]] = data.customer[rows]
        self.views, self.relevant = views[people], _numbered(relevant, number)
        self.known = AcceptedPairs(people[:0], people[:0]) if repeats else _numbered(known, number)

    @torch.no_grad()
    def ndcg(self, user: TowerModule, item: TowerModule) -> tuple[float, float]:
        """Return the nDCG of the first ten, and its standard error."""
        if not len(self.views):
            return 0.0, 0.0
        users = user(Batch.of(self.data.customers, self.views))
        scores = users @ item(Batch.of(self.data.catalog, np.arange(self.catalog))).T
        scores[torch.from_numpy(self.known.customer), torch.from_numpy(self.known.offer)] = -torch.inf
        top = scores.topk(min(K, self.catalog), dim=1).indices.cpu().numpy()
        found = ranking_quality(top, self.relevant, catalog=self.catalog).ndcg
        return float(found.mean()), float(found.std() / len(found) ** 0.5)


def _accepted_pairs(data: TrainingSet, rows: Places) -> AcceptedPairs:
    place = data.catalog_of[data.offer[rows]].astype(np.int64)
    kept = (place >= 0) & (data.accepted[rows] == 1)
    return AcceptedPairs.of(data.who[rows[kept]].astype(np.int64), place[kept], catalog=len(data.catalog))


def _numbered(pairs: AcceptedPairs, number: Places) -> AcceptedPairs:
    """Keep those of some customers, by their numbers."""
    kept = number[pairs.customer] >= 0
    return AcceptedPairs(number[pairs.customer[kept]], pairs.offer[kept])
