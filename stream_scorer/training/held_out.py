"""Measures towers on held-out rows while they are trained."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from stream_scorer.core.datasets.training_set import Places, TrainingSet
from stream_scorer.core.evaluation.auc import auc_within
from stream_scorer.core.held_out.questions import Floats, accepted_pairs, ask, by_customer, quality, rank
from stream_scorer.core.held_out.ranking_quality import Scores
from stream_scorer.training.objective import AcceptanceHead
from stream_scorer.training.towers.batches import Batch
from stream_scorer.training.towers.tower_module import TowerModule

K = 10
_BLOCK = 65_536  # rows whose vectors are gathered at a time


class HeldOutRows:
    """Held-out rows (n,) and their inputs; many share a customer's or an offer's, and each distinct input is kept once.

    Every epoch is judged by them, so they are gathered once for a training.
    """

    def __init__(self, data: TrainingSet, rows: Places) -> None:
        """Gather the distinct inputs of `rows`."""
        self.data, self.rows = data, rows
        customers, customer_of = np.unique(data.customer[rows], return_inverse=True)
        offers, offer_of = np.unique(data.offer[rows], return_inverse=True)
        self._customers = Batch.of(data.customers, customers.astype(np.int64))
        self._offers = Batch.of(data.offers, offers.astype(np.int64))
        self._customer_of, self._offer_of = (torch.from_numpy(one.reshape(-1)) for one in (customer_of, offer_of))

    def outputs(self, user: TowerModule, item: TowerModule) -> tuple[Tensor, Tensor]:
        """Return the user tower's outputs (n, p), and the offers' vectors (n, p)."""
        return user.outputs(self._customers)[self._customer_of], item(self._offers)[self._offer_of]

    @torch.no_grad()
    def auc(self, user: TowerModule, item: TowerModule) -> float | None:
        """Return the AUC within customers by the cosines of the rows; None where no customer has both labels."""
        users, items = F.normalize(user.outputs(self._customers), dim=1), item(self._offers)
        # A block at a time: both vectors of each row would be the most memory of a whole training.
        blocks = [slice(start, start + _BLOCK) for start in range(0, max(1, len(self.rows)), _BLOCK)]
        pairs = ((users[self._customer_of[block]], items[self._offer_of[block]]) for block in blocks)
        cosines = np.concatenate([(mine * theirs).sum(dim=1).cpu().numpy() for mine, theirs in pairs])
        return auc_within(self.data.who[self.rows], cosines, self.data.accepted[self.rows]).auc


class HeldOutRanking:
    """Ranks the whole catalog for each held-out acceptance, by the features of its own request.

    Every epoch is asked the same questions, and so is every training with the same split: their figures can be
    compared.
    """

    def __init__(self, data: TrainingSet, learned: Places, rows: Places) -> None:
        """Turn the acceptances among the held-out `rows` into questions; `learned` are the rows trained on."""
        self.data = data
        self.questions = ask(data, accepted_pairs(data, learned), rows)

    def ndcg(self, user: TowerModule, item: TowerModule) -> tuple[float, float]:
        """Return the mean nDCG@10 over customers, and its standard error; zeros where there are no questions."""
        found = self.by_customer(user, item)
        return (float(found.mean()), float(found.std() / len(found) ** 0.5)) if len(found) else (0.0, 0.0)

    @torch.no_grad()
    def by_customer(self, user: TowerModule, item: TowerModule) -> Floats:
        """Return each customer's nDCG@10 (C,), the customers always in the same order."""
        views = self.questions.view
        if not len(views):
            return np.zeros(0)
        items = item(Batch.of(self.data.catalog, np.arange(len(self.data.catalog)))).T  # (p, N), for all blocks

        def scores_of(block: slice) -> Scores:
            scores: Scores = (user(Batch.of(self.data.customers, views[block])) @ items).cpu().numpy()
            return scores

        return quality(self.questions, rank(self.questions, scores_of, K)).ndcg


@torch.no_grad()
def losses_by_customer(
    data: TrainingSet, rows: Places, user: TowerModule, item: TowerModule, head: AcceptanceHead
) -> Floats:
    """Return the mean log loss of each customer's held-out rows (C,), for the objective `shown`."""
    outputs, items = HeldOutRows(data, rows).outputs(user, item)
    at = outputs.device
    ranks = torch.from_numpy(data.rank[rows].astype(np.int64)).to(at)
    cosines = (F.normalize(outputs, dim=1) * items).sum(dim=1)
    log_odds = head.log_odds(cosines, head.of_customers(outputs), ranks)
    accepted = torch.from_numpy(data.accepted[rows].astype(np.float32)).to(at)
    losses = F.binary_cross_entropy_with_logits(log_odds, accepted, reduction="none").cpu().numpy()
    _, who = np.unique(data.who[rows], return_inverse=True)
    return by_customer(losses.astype(np.float64), who.reshape(-1))
