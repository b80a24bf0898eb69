"""How good modules in training are on held-out rows."""

from typing import Any

import numpy as np
import torch

from stream_scorer.core.datasets.training_set import Places, TrainingSet
from stream_scorer.core.evaluation.auc import auc_within
from stream_scorer.core.held_out.questions import accepted_pairs, ask, quality, rank
from stream_scorer.core.held_out.ranking_quality import Scores
from stream_scorer.training.modules import Batch, TowerModule

K = 10


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
    """Ranks the whole catalog for the held-out acceptances, each with the features of its own request.

    The questions are the same for every epoch, and for every training with the same split, so that figures compare.
    """

    def __init__(self, data: TrainingSet, learned: Places, rows: Places) -> None:
        """Make questions of the held-out rows."""
        self.data = data
        self.questions = ask(data, accepted_pairs(data, learned), rows)

    @torch.no_grad()
    def ndcg(self, user: TowerModule, item: TowerModule) -> tuple[float, float]:
        """Return the nDCG of the first ten, as a mean over customers, and its standard error."""
        views = self.questions.view
        if not len(views):
            return 0.0, 0.0
        items = item(Batch.of(self.data.catalog, np.arange(len(self.data.catalog)))).T

        def scores_of(block: slice) -> Scores:
            scores: Scores = (user(Batch.of(self.data.customers, views[block])) @ items).cpu().numpy()
            return scores

        found = quality(self.questions, rank(self.questions, scores_of, K)).ndcg
        return float(found.mean()), float(found.std() / len(found) ** 0.5)
