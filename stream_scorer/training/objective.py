"""The losses of joint training.

The head's parameters are for training and calibration only: serving ranks by the cosine alone.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stream_scorer.core.datasets.training_set import Ints32, Places, TrainingSet
from stream_scorer.training.options import Recipe
from stream_scorer.training.steps.resident_rows import Labels, ResidentRows
from stream_scorer.training.towers.batches import Batch, IdDropout
from stream_scorer.training.towers.tower_module import TowerModule

RANKS_MAX = 64
FULL_CATALOG_MAX = 10_000
SAMPLED = 2_048
_LOGITS_MAX = 8_000_000  # logits in memory at once: views times offers
_ITEM_DROPOUT_MAX = 0.5
_ITEM_DROPOUT_REPEATED = 0.1  # where nearly all acceptances are repeats
_RIVALRY = 0.3  # weight, as negatives, of other offers that the customer accepted too


class AcceptanceHead(nn.Module):
    """The log-odds that a shown offer is accepted: scale · cosine + bias, plus a term for the rank and the customer.

    Neither of these two terms depends on the offer, so they cannot change the order of a customer's offers, and serving
    drops them. Without them the towers would have to explain what depends on the rank or on the customer alone.
    """

    def __init__(self, *, dim: int, temperature: float, rate: float) -> None:
        """Begin at the acceptance `rate`, and with no effect of rank or customer."""
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(-math.log(temperature)))
        self.bias = nn.Parameter(torch.tensor(math.log(rate / (1 - rate))))
        self.ranks = nn.Parameter(torch.zeros(RANKS_MAX + 1))
        self.customer = nn.Linear(dim, 1)
        nn.init.zeros_(self.customer.weight)
        nn.init.zeros_(self.customer.bias)
        self.alone = nn.ModuleList([nn.Linear(dim, 1), nn.Linear(dim, 1)])

    def of_customers(self, outputs: Tensor) -> Tensor:
        """Return what the user tower's outputs (n, p) add to the log-odds (n,), whatever the offer."""
        added: Tensor = self.customer(outputs)[:, 0]
        return added

    def log_odds(self, cosine: Tensor, of_customer: Tensor, rank: Tensor) -> Tensor:
        """Return log-odds (n,) from cosines (n,), the customers' own part (n,) and ranks (n,), 0 where unknown."""
        known = (rank > 0).to(cosine.dtype)
        position = self.ranks[rank.clamp(max=RANKS_MAX)] * known
        return cosine * self.log_scale.exp() + self.bias + position + of_customer


class Objective:
    """The loss of a minibatch: whether shown offers are accepted, and which offer of the catalog is the accepted one.

    The temperature of the choice among the catalog is fixed: if it were learned, it would fall until the towers have
    memorised their examples.
    """

    def __init__(
        self,
        data: TrainingSet,
        user: TowerModule,
        item: TowerModule,
        head: AcceptanceHead,
        *,
        recipe: Recipe,
        learned: Places,
    ) -> None:
        """Count the acceptances of each offer among `learned`, the rows that training may learn from."""
        self.data, self.user, self.item, self.head, self.recipe = data, user, item, head, recipe
        accepted = data.catalog_of[data.offer[learned[data.accepted[learned] == 1]]]
        counts = np.bincount(accepted[accepted >= 0], minlength=len(data.catalog))
        self.frequency = counts / max(1, len(accepted))
        # An offer that nobody has accepted may be new: as a negative it would be pushed down by every training.
        self.alternatives = np.flatnonzero(counts)
        self.user_dropout = IdDropout(user.spec, recipe.id_dropout)
        self.item_dropout = IdDropout(item.spec, self._item_dropout_rate())

    def _item_dropout_rate(self) -> float:
        """Return the share of offers' ids to drop: at least the share of the catalog that nobody has accepted, capped.

        Those offers are ranked by their features alone, which would stay untrained if the ids were always there. A
        customer who repeats an acceptance cannot mean one of them: the more repeats, the lower the cap.
        """
        new = 1 - len(self.alternatives) / max(1, len(self.data.catalog))
        cap = max(_ITEM_DROPOUT_REPEATED, _ITEM_DROPOUT_MAX * self.recipe.first_share)
        return max(self.recipe.id_dropout, min(new, cap))

    def loss(self, rows: Places | Ints32, rng: np.random.Generator, *, training: bool) -> Tensor:
        """Return the mean loss of some rows; ids are dropped in training only."""
        data = self.data
        # Rows with the same customer's features share one pass through the tower.
        customers, customer_of = np.unique(data.customer[rows], return_inverse=True)
        batch = Batch.of(data.customers, customers.astype(np.int64))
        outputs = self.user.outputs(self.user_dropout(batch, rng) if training else batch)  # (views, p)
        users = F.normalize(outputs, dim=1)
        view_of = customer_of.reshape(-1)
        picked = self._tensor(view_of)
        if self.recipe.objective == "separate":
            return self._separate(outputs[picked], self._items(rows, None), self._labels(rows))
        loss = torch.zeros((), device=users.device)
        if self.recipe.objective == "shown":
            items = self._items(rows, rng if training else None)
            of_customer = self.head.of_customers(outputs)[picked]
            loss = loss + self._shown(users[picked], of_customer, items, self._labels(rows))
        if self.recipe.catalog_weight:
            positive = np.flatnonzero((data.accepted[rows] == 1) & (data.catalog_of[data.offer[rows]] >= 0))
            if len(positive):
                targets = data.catalog_of[data.offer[rows[positive]]].astype(np.int64)
                share = len(positive) / len(rows)
                among = self._among_catalog(users, view_of[positive], targets, rng, training=training)
                loss = loss + self.recipe.catalog_weight * share * among
        return loss

    def _tensor(self, array: npt.NDArray[Any]) -> Tensor:
        return torch.from_numpy(array).to(self.user.table.device)

    def resident_loss(self, resident: ResidentRows, rows: Tensor, *, training: bool) -> Tensor:
        """Return the mean loss of rows (B,) on the device, which the host need not wait for.

        It is what `loss` returns where nothing is asked about the catalog, but for the random numbers: ids are dropped
        row by row, by the device's generator.
        """
        customers, offers = resident.inputs(rows)
        labels = resident.labels(rows)
        outputs = self.user.outputs(self.user_dropout.on_device(customers) if training else customers)
        if self.recipe.objective == "separate":
            return self._separate(outputs, self.item.outputs(offers), labels)
        items = self.item(self.item_dropout.on_device(offers) if training else offers)
        return self._shown(F.normalize(outputs, dim=1), self.head.of_customers(outputs), items, labels)

    def _labels(self, rows: Places | Ints32) -> Labels:
        data = self.data
        accepted, rank = data.accepted[rows].astype(np.float32), data.rank[rows].astype(np.int64)
        return Labels(self._tensor(accepted), self._tensor(data.weight[rows]), self._tensor(rank))

    def _items(self, rows: Places | Ints32, dropping: np.random.Generator | None) -> Tensor:
        """Return what the item tower gives for each row's offer (B, p): vectors, or outputs for `separate`."""
        offers, offer_of = np.unique(self.data.offer[rows], return_inverse=True)
        batch = Batch.of(self.data.offers, offers.astype(np.int64))
        if dropping:
            batch = self.item_dropout(batch, dropping)
        items = self.item.outputs(batch) if self.recipe.objective == "separate" else self.item(batch)
        return items[self._tensor(offer_of.reshape(-1))]

    def _separate(self, outputs: Tensor, items: Tensor, labels: Labels) -> Tensor:
        """Return the loss of two classifiers of `accepted`, one on each tower; the towers share no vector space."""
        losses = [
            F.binary_cross_entropy_with_logits(classify(hidden)[:, 0], labels.accepted, weight=labels.weight)
            for classify, hidden in zip(self.head.alone, (outputs, items), strict=True)
        ]
        return losses[0] + losses[1]

    def _shown(self, users: Tensor, of_customer: Tensor, items: Tensor, labels: Labels) -> Tensor:
        log_odds = self.head.log_odds((users * items).sum(dim=1), of_customer, labels.rank)
        return F.binary_cross_entropy_with_logits(log_odds, labels.accepted, weight=labels.weight)

    def _among_catalog(
        self, users: Tensor, view_of: Places, targets: Places, rng: np.random.Generator, *, training: bool
    ) -> Tensor:
        """Return the cross-entropy of targets (m,) among the offers that anybody accepted.

        Where those are more than FULL_CATALOG_MAX, a uniform sample of SAMPLED stands for them. A view's logits are
        computed once for all of its targets.
        """
        count = len(self.alternatives)
        sampled = count > FULL_CATALOG_MAX
        others = self.alternatives[rng.integers(0, count, SAMPLED)] if sampled else self.alternatives
        drawn, place_of = np.unique(np.concatenate([targets, others]), return_inverse=True)
        batch = Batch.of(self.data.catalog, drawn)
        drops = training and self.item.reads_features  # without features the id is the tower's only input: it stays
        items = self.item(self.item_dropout(batch, rng) if drops else batch)
        place_of = place_of.reshape(-1)[: len(targets)]
        if not sampled:
            return self._log_loss(users, items, view_of, place_of)
        # An offer is absent if it is none of the targets and no uniform draw hits it. The log of the opposite
        # probability corrects the logits for the sampling.
        absent = (1 - self.frequency[drawn]) ** len(targets) * (1 - 1 / count) ** SAMPLED
        return self._log_loss(users, items, view_of, place_of, self._tensor(np.log1p(-absent).astype(np.float32)))

    def _log_loss(
        self, users: Tensor, items: Tensor, view_of: Places, targets: Places, drawn: Tensor | None = None
    ) -> Tensor:
        """Return the mean of -log p(target | view).

        `drawn` (N,) are the log-probabilities that an offer is in the sample. The target itself always is, so its own
        logit is not corrected (Khrylchenko et al. 2025, arXiv:2507.09331). The view's other targets are accepted
        offers, too: as negatives they count for less than offers that the customer did not accept.
        """
        total = torch.zeros((), device=users.device)
        step = max(1, _LOGITS_MAX // max(1, len(items)))
        order = np.argsort(view_of, kind="stable")
        for start in range(0, len(users), step):
            chosen = order[np.searchsorted(view_of[order], start) : np.searchsorted(view_of[order], start + step)]
            if not len(chosen):
                continue
            logits = users[start : start + step] @ items.T / self.recipe.temperature
            total = total + self._surprise(logits, view_of[chosen] - start, targets[chosen], drawn)
        return total / len(targets)

    def _surprise(self, logits: Tensor, view_of: Places, targets: Places, drawn: Tensor | None) -> Tensor:
        """Return the sum of -log p(target | view) over the targets, from logits (V, N)."""
        # A pair that occurs in several rows is computed once, and counted as often as it occurs at the end.
        pairs, pair_of = np.unique(view_of * logits.shape[1] + targets, return_inverse=True)
        view, target = self._tensor(pairs // logits.shape[1]), self._tensor(pairs % logits.shape[1])
        corrected = logits if drawn is None else logits - drawn
        # Subtracting the largest logit keeps exp from overflowing; the sums over a view are shared by its targets.
        largest = corrected.detach().amax(dim=1, keepdim=True)
        shares = (corrected - largest).exp()  # (V, N)
        own, plain = shares[view, target], logits[view, target] - largest[view, 0]
        taken = torch.zeros(len(logits), device=logits.device).index_add(0, view, own)[view]
        refused = shares.sum(dim=1)[view] - own - (1 - _RIVALRY) * (taken - own)
        surprise = (refused.clamp(min=0) + plain.exp()).clamp(min=1e-30).log() - plain
        return surprise[self._tensor(pair_of.reshape(-1))].sum()
