"""Trains both towers together, with one similarity objective."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from stream_scorer.core.evaluation import auc_within
from stream_scorer.core.features import FeatureSpec
from stream_scorer.core.training_set import Places, TrainingSet
from stream_scorer.errors import UsageError
from stream_scorer.towers.modules import Batch, TowerModule
from stream_scorer.towers.objective import Head, LossWeights, Objective
from stream_scorer.towers.options import TrainOptions

_POSITIVES_MIN = 2
_HELD_OUT_ROWS = 8_192
# few rows need small steps: with fewer steps an epoch than this, training ends before it has learned
EPOCH_STEPS = 60
ROWS_MIN = 64


@dataclass(frozen=True, slots=True)
class Epoch:
    """How one pass over the rows went; held-out figures are None when nothing is held out."""

    number: int
    epochs: int
    loss: float
    held_out_loss: float | None
    held_out_auc: float | None


@dataclass(frozen=True, slots=True)
class Fitted:
    """Trained modules, the epochs that led to them, and which rows were held out."""

    user: TowerModule
    item: TowerModule
    head: Head
    epochs: tuple[Epoch, ...]
    best: int
    objective: str
    held_out: Places


def fit(
    data: TrainingSet, user_spec: FeatureSpec, item_spec: FeatureSpec, options: TrainOptions, *, report: Callable[[Epoch], None]
) -> Fitted:
    """Train until the held-out loss has not improved for `patience` epochs, and return the best epoch's towers.

    The same data, options and number of threads give the same towers. Raises UsageError when there is too little to learn from.
    """
    if options.threads:
        torch.set_num_threads(options.threads)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        return _Training(data, user_spec, item_spec, options).run(report)


class _Training:
    """The modules, the optimiser and the rows of one training."""

    def __init__(self, data: TrainingSet, user_spec: FeatureSpec, item_spec: FeatureSpec, options: TrainOptions) -> None:
        self.data, self.options = data, options
        self.rng = np.random.default_rng(options.seed)
        positives = int(data.accepted.sum())
        if positives < _POSITIVES_MIN:
            raise UsageError(f"training needs at least {_POSITIVES_MIN} accepted rows, got {positives} among {len(data)}")
        self.objective_name = _objective(options, positives, len(data))
        self.rows, self.held_out = split_by_time(data, options.held_out)
        if self.objective_name == "catalog":
            self.rows = self.rows[data.accepted[self.rows] == 1]
        self.user = TowerModule(user_spec, width=options.width, hidden=options.hidden, dim=options.dim)
        self.item = TowerModule(item_spec, width=options.width, hidden=options.hidden, dim=options.dim)
        rate = float(np.clip(data.accepted.mean(), 1e-6, 0.5))
        self.head = Head(dim=options.dim, temperature=options.temperature, rate=rate)
        self.modules = nn.ModuleList([self.user, self.item, self.head])
        shown, catalog = (1.0, options.catalog_weight) if self.objective_name == "shown" else (0.0, 1.0)
        self.objective = Objective(data, self.user, self.item, self.head, LossWeights(shown, catalog, options.id_dropout))
        self.optimiser = torch.optim.Adam(self.modules.parameters(), lr=options.learning_rate)
        self.batch_rows = min(options.batch_rows, max(ROWS_MIN, len(self.rows) // EPOCH_STEPS))
        self.steps_left = self.steps = options.epochs * -(-len(self.rows) // self.batch_rows)

    def run(self, report: Callable[[Epoch], None]) -> Fitted:
        epochs: list[Epoch] = []
        best, kept = 0, self._state()
        while len(epochs) < self.options.epochs and (not epochs or len(epochs) - best < self.options.patience):
            epoch = self._epoch(len(epochs) + 1)
            epochs.append(epoch)
            report(epoch)
            if not best or epoch.held_out_loss is None or epoch.held_out_loss < _loss(epochs[best - 1]):
                best, kept = epoch.number, self._state()
        self.modules.load_state_dict(kept)
        return Fitted(self.user, self.item, self.head, tuple(epochs), best, self.objective_name, self.held_out)

    def _epoch(self, number: int) -> Epoch:
        total = 0.0
        order = self._shuffled()
        for start in range(0, len(order), self.batch_rows):
            chosen = order[start : start + self.batch_rows]
            loss = self.objective.loss(chosen, self.rng, training=True)
            total += float(loss.detach()) * len(chosen)
            self._step(loss)
        held_out_loss, held_out_auc = self._held_out()
        return Epoch(number, self.options.epochs, total / len(order), held_out_loss, held_out_auc)

    def _shuffled(self) -> Places:
        """Shuffle requests rather than rows where a request has several: a customer is embedded once for all of them."""
        if self.objective_name == "catalog":
            return self.rng.permutation(self.rows)
        _, request = np.unique(self.data.request[self.rows], return_inverse=True)
        place = self.rng.permutation(int(request.max()) + 1)
        return self.rows[np.argsort(place[request.reshape(-1)], kind="stable")]

    def _step(self, loss: Tensor) -> None:
        for group in self.optimiser.param_groups:
            group["lr"] = self.options.learning_rate * self.steps_left / self.steps
        self.steps_left -= 1
        self.optimiser.zero_grad()
        penalty = sum((weight.square().sum() for weight in self._weights()), torch.zeros(()))
        (loss + self.options.prior / len(self.rows) * penalty).backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()

    def _weights(self) -> list[Tensor]:
        return [weight for module in (self.user, self.item) for weight in module.parameters() if weight.dim() > 1]

    @torch.no_grad()
    def _held_out(self) -> tuple[float | None, float | None]:
        rows = self.held_out
        if not len(rows):
            return None, None
        rng = np.random.default_rng(self.options.seed)
        losses = [
            (float(self.objective.loss(part, rng, training=False)), len(part))
            for part in np.array_split(rows, -(-len(rows) // _HELD_OUT_ROWS))
        ]
        loss = sum(one * count for one, count in losses) / len(rows)
        auc = auc_within(self.data.who[rows], self._cosines(rows), self.data.accepted[rows])
        return loss, auc.auc

    def _cosines(self, rows: Places) -> "np.ndarray[Any, np.dtype[np.float32]]":
        customers, customer_of = np.unique(self.data.customer[rows], return_inverse=True)
        offers, offer_of = np.unique(self.data.offer[rows], return_inverse=True)
        users = self.user(Batch.of(self.data.customers, customers.astype(np.int64))).numpy()
        items = self.item(Batch.of(self.data.offers, offers.astype(np.int64))).numpy()
        return np.asarray(np.einsum("np,np->n", users[customer_of.reshape(-1)], items[offer_of.reshape(-1)]))

    def _state(self) -> dict[str, Any]:
        return {name: value.detach().clone() for name, value in self.modules.state_dict().items()}


def split_by_time(data: TrainingSet, share: float) -> tuple[Places, Places]:
    """Return the rows to learn from and the held-out ones, which are the latest; a request is never split.

    Rows that all have one time are split by their request's hash.
    """
    rows = np.arange(len(data))
    if not share:
        return rows, rows[:0]
    times = data.request_time_ms
    if times[0] == times[-1]:
        late = data.request % np.uint64(1_000) < np.uint64(int(1_000 * share))
    else:
        late = times >= max(int(times[int(len(data) * (1 - share))]), int(times[0]) + 1)
    if not data.accepted[~late].any():
        return rows, rows[:0]
    return rows[~late], rows[late]


def _objective(options: TrainOptions, positives: int, rows: int) -> str:
    if options.objective == "shown" and positives == rows:
        raise UsageError("the objective 'shown' needs rows that were not accepted; there are none")
    if options.objective != "auto":
        return options.objective
    return "catalog" if positives == rows else "shown"


def _loss(epoch: Epoch) -> float:
    return float("inf") if epoch.held_out_loss is None else epoch.held_out_loss
