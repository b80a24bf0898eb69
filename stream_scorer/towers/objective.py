"""The losses of joint training. What is in the head serves training and calibration only; serving ranks by the cosine alone."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stream_scorer.core.training_set import Places, TrainingSet
from stream_scorer.towers.modules import Batch, IdDropout, TowerModule

RANKS_MAX = 64
FULL_CATALOG_MAX = 10_000
SAMPLED = 2_048


class Head(nn.Module):
    """scale · cosine + bias + what the rank adds + what the customer adds: the log-odds that a shown offer is accepted.

    What depends on the rank or on the customer alone changes no order of a customer's offers; without it the towers would have to
    explain it.
    """

    def __init__(self, *, dim: int, temperature: float, rate: float) -> None:
        """Begin at the rate of acceptance."""
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(-math.log(temperature)))
        self.log_catalog_scale = nn.Parameter(torch.tensor(-math.log(temperature)))
        self.bias = nn.Parameter(torch.tensor(math.log(rate / (1 - rate))))
        self.ranks = nn.Parameter(torch.zeros(RANKS_MAX + 1))
        self.customer = nn.Linear(dim, 1)
        nn.init.zeros_(self.customer.weight)
        nn.init.zeros_(self.customer.bias)

    def log_odds(self, cosine: Tensor, outputs: Tensor, rank: Tensor) -> Tensor:
        """Return (n,) from cosines (n,), outputs of the user tower (n, p) and ranks (n,), 0 where unknown."""
        known = (rank > 0).to(cosine.dtype)
        position = self.ranks[rank.clamp(max=RANKS_MAX)] * known
        added: Tensor = self.customer(outputs)[:, 0]
        return cosine * self.log_scale.exp() + self.bias + position + added


@dataclass(frozen=True, slots=True)
class LossWeights:
    """How much each loss counts, and the share of ids taken for unseen ones."""

    shown: float
    catalog: float
    id_dropout: float


class Objective:
    """The loss of some rows: of the shown offers, and of the accepted one among the catalog."""

    def __init__(self, data: TrainingSet, user: TowerModule, item: TowerModule, head: Head, weights: LossWeights) -> None:
        """Weigh the two losses."""
        self.data, self.user, self.item, self.head = data, user, item, head
        self.shown, self.catalog = weights.shown, weights.catalog
        self.user_dropout, self.item_dropout = IdDropout(user.spec, weights.id_dropout), IdDropout(item.spec, weights.id_dropout)
        accepted = data.catalog_of[data.offer[data.accepted == 1]]
        self.frequency = np.bincount(accepted[accepted >= 0], minlength=len(data.catalog)) / max(1, len(accepted))

    def loss(self, rows: Places, rng: np.random.Generator, *, training: bool) -> Tensor:
        """Return the mean loss of these rows; ids are dropped in training only."""
        data = self.data
        customers, customer_of = np.unique(data.customer[rows], return_inverse=True)
        batch = Batch.of(data.customers, customers.astype(np.int64))
        outputs = self.user.outputs(self.user_dropout(batch, rng) if training else batch)
        users = F.normalize(outputs, dim=1)
        picked = torch.from_numpy(customer_of.reshape(-1))
        loss = torch.zeros(())
        if self.shown:
            loss = loss + self.shown * self._shown(rows, users[picked], outputs[picked], rng if training else None)
        if self.catalog:
            positive = np.flatnonzero((data.accepted[rows] == 1) & (data.catalog_of[data.offer[rows]] >= 0))
            share = len(positive) / len(rows)
            if share:
                targets = data.catalog_of[data.offer[rows[positive]]].astype(np.int64)
                loss = loss + self.catalog * share * self._among_catalog(users[picked[torch.from_numpy(positive)]], targets, rng)
        return loss

    def _shown(self, rows: Places, users: Tensor, outputs: Tensor, dropping: np.random.Generator | None) -> Tensor:
        data = self.data
        offers, offer_of = np.unique(data.offer[rows], return_inverse=True)
        batch = Batch.of(data.offers, offers.astype(np.int64))
        items = self.item(self.item_dropout(batch, dropping) if dropping else batch)
        cosine = (users * items[torch.from_numpy(offer_of.reshape(-1))]).sum(dim=1)
        log_odds = self.head.log_odds(cosine, outputs, torch.from_numpy(data.rank[rows].astype(np.int64)))
        accepted = torch.from_numpy(data.accepted[rows].astype(np.float32))
        weight = torch.from_numpy(data.weight[rows])
        return F.binary_cross_entropy_with_logits(log_odds, accepted, weight=weight)

    def _among_catalog(self, users: Tensor, targets: Places, rng: np.random.Generator) -> Tensor:
        """Cross-entropy over the whole catalog, or over a sample of it with the logits corrected for how likely each was drawn."""
        count = len(self.data.catalog)
        if count <= FULL_CATALOG_MAX:
            items = self.item(Batch.of(self.data.catalog, np.arange(count)))
            return F.cross_entropy(users @ items.T * self.head.log_catalog_scale.exp(), torch.from_numpy(targets))
        drawn, place_of = np.unique(np.concatenate([targets, rng.integers(0, count, SAMPLED)]), return_inverse=True)
        target_of = torch.from_numpy(place_of.reshape(-1)[: len(targets)])
        items = self.item(Batch.of(self.data.catalog, drawn))
        # an offer is drawn by being a target or by the uniform draw; the target itself is always there
        absent = (1 - self.frequency[drawn]) ** len(targets) * (1 - 1 / count) ** SAMPLED
        logits = users @ items.T * self.head.log_catalog_scale.exp()
        corrected = logits - torch.from_numpy(np.log1p(-absent).astype(np.float32))
        here = torch.arange(len(targets)), target_of
        corrected[here] = logits[here]
        return F.cross_entropy(corrected, target_of)
