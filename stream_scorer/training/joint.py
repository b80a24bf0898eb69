"""Trains both towers together on one objective, so that their vectors share a space."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from stream_scorer.core.datasets.training_set import EncodedSide, Ints32, Places, TrainingSet
from stream_scorer.errors import UsageError
from stream_scorer.training.decomposition import decomposed
from stream_scorer.training.held_out import HeldOutRanking, HeldOutRows
from stream_scorer.training.lesson import Epoch, Fitted, Lesson, device_of, limit_threads, memory_free, tower_of
from stream_scorer.training.objective import AcceptanceHead, Objective
from stream_scorer.training.options import Recipe, TrainOptions
from stream_scorer.training.spectral import ADDED
from stream_scorer.training.steps.adam import Adam
from stream_scorer.training.steps.graphed_steps import GraphedSteps
from stream_scorer.training.steps.resident_rows import ResidentRows
from stream_scorer.training.steps.shuffling import Shuffling
from stream_scorer.training.towers.batches import Batch
from stream_scorer.training.towers.history import AcceptedHistory, Taken
from stream_scorer.training.towers.side_by_side import side_by_side
from stream_scorer.training.towers.tied_bag import tied_bag
from stream_scorer.training.towers.tower_module import TowerModule
from stream_scorer.training.warm_start import carry_head, carry_tower

_POSITIVES_MIN = 2
_HELD_OUT_ROWS = 8_192
_SAMPLE = 1_000
ROWS_MIN = 64
CATALOG_ROWS_MAX = 65_536
# Where minibatches are gathered on the device. On a CPU rows of one request share a customer's pass through the tower,
# which saves more than the gathering costs.
RESIDENT_ON = frozenset({"cuda"})
_RESIDENT_SHARE = 0.5  # of the GPU's free memory; the rest is for the steps
# Takes a step over each part of an epoch's rows, and returns their mean loss.
_Stepper = Callable[[Iterable[Places | Ints32]], float]


def fit(
    lesson: Lesson, options: TrainOptions, *, report: Callable[[Epoch], object], first: Fitted | None = None
) -> Fitted:
    """Train until the held-out figure stops improving, and return the towers of the best epoch.

    Training stops `patience` epochs after the best one, or after an epoch for which `report` returns True. `first` is
    a finished training by the same options: it is not repeated, and only the refit and the other members of an
    ensemble follow. The same data and options give the same towers on one thread of a CPU; several
    threads add up in another order each time. On one GPU they gave the same towers three times; torch does not
    promise it.

    Raises UsageError when fewer than two rows are accepted.
    """
    positives = int(lesson.data.accepted.sum())
    if positives < _POSITIVES_MIN:
        raise UsageError(
            f"training needs at least {_POSITIVES_MIN} accepted rows, got {positives} among {len(lesson.data)}"
        )
    recipe = lesson.recipe(options)
    rows, held_out = lesson.split(recipe)
    if recipe.spectral:
        return decomposed(lesson, recipe, options.dim and options.dim - ADDED, (rows, held_out), report)
    fitted = first or trained(lesson, recipe, rows, held_out, report, end=recipe.epochs)
    if not recipe.refit or not len(held_out):
        return _with_others(
            lesson.data, fitted, lambda other: trained(lesson, other, rows, held_out, report, end=other.epochs)
        )
    everything, nothing = np.arange(len(lesson.data)), held_out[:0]

    def refit(again: Recipe) -> Fitted:
        return trained(lesson, again, everything, nothing, report, end=fitted.best)

    measured = tower_of(fitted.user), tower_of(fitted.item)
    again = _with_others(lesson.data, refit(recipe), refit)
    return replace(fitted, recipe=recipe, user=again.user, item=again.item, head=again.head, measured=measured)


def _with_others(data: TrainingSet, first: Fitted, train: Callable[[Recipe], Fitted]) -> Fitted:
    """Train the other members of the ensemble, each from its own seed, and concatenate the vectors of all."""
    recipe = first.recipe
    if recipe.members == 1:
        return first
    members = [
        first,
        *(train(replace(recipe, seed=(recipe.seed + number) % 2**63)) for number in range(1, recipe.members)),
    ]
    for module in (module for member in members for module in (member.user, member.item)):
        module.cpu().settle()
    # A new module draws weights that are overwritten at once; the caller's generator must not notice.
    with torch.random.fork_rng(devices=[]):
        user = side_by_side([member.user for member in members], _some(data.customers))
        item = side_by_side([member.item for member in members], _some(data.offers))
    return replace(first, user=user, item=item)


def _some(side: EncodedSide) -> Batch:
    """Return at most a thousand examples, evenly spaced."""
    return Batch.of(side, np.unique(np.linspace(0, len(side) - 1, _SAMPLE).astype(np.int64)))


def trained(
    lesson: Lesson, recipe: Recipe, rows: Places, held_out: Places, report: Callable[[Epoch], object], *, end: int
) -> Fitted:
    """Train one pair of towers on some rows for at most `end` epochs; the caller's random numbers stay as they are."""
    limit_threads(recipe)
    device = device_of(recipe.device)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(recipe.seed)
        return _Training(lesson, recipe, rows, held_out).run(report, end)


class _Training:
    """One training in progress: its modules, its optimiser and its rows."""

    def __init__(self, lesson: Lesson, recipe: Recipe, rows: Places, held_out: Places) -> None:
        data = self.data = lesson.data
        self.recipe, self.held_out = recipe, held_out
        self.rng = np.random.default_rng(recipe.seed)
        self.catalog_only = recipe.objective == "catalog"
        self.rows = rows[data.accepted[rows] == 1] if self.catalog_only else rows
        self.user, self.item = _towers(lesson, recipe)
        rate = float(np.clip(np.average(data.accepted, weights=data.weight), 1e-6, 0.5))
        self.head = AcceptanceHead(dim=recipe.dim, temperature=recipe.temperature, rate=rate)
        if lesson.earlier is not None:
            carry_tower(lesson.earlier.user_tower, self.user)
            carry_tower(lesson.earlier.item_tower, self.item)
            carry_head(lesson.earlier.facts, self.head)
        elif recipe.objective != "separate":
            self.user.tied = tied_bag(self.user, self.item)
        # A table that training goes on from holds the history already
        if recipe.history and self.user.direct and lesson.earlier is None:
            self.user.history = AcceptedHistory(
                Taken.of(data, self.rows, lesson.user_spec), catalog=len(data.catalog), dim=recipe.dim
            )
        device = device_of(recipe.device)
        self.modules = nn.ModuleList([self.user, self.item, self.head]).to(device)
        self.objective = Objective(data, self.user, self.item, self.head, recipe=recipe, learned=self.rows)
        # A penalty of `prior` rows, in a loss that is the mean over all rows
        penalty = recipe.prior / max(1, len(self.rows))
        self.optimiser = Adam(self.modules.parameters(), penalised=self._weights(), penalty=penalty)
        self.ranking = HeldOutRanking(data, rows, held_out)
        # Shuffling whole requests, or whole customers for the objective `catalog`, keeps their rows together: a
        # minibatch embeds each customer once for all of them.
        group = (data.customer if self.catalog_only else data.request)[self.rows]
        self.shuffling = Shuffling(self.rows, group)
        self.epoch_steps = self._epoch_steps()
        self.steps = recipe.epochs * self.epoch_steps
        self.steps_left: int | Tensor = self.steps
        self.resident = self._resident(device) if device.type in RESIDENT_ON else None

    def _resident(self, device: torch.device) -> ResidentRows | None:
        """Copy the rows to the GPU; None where the loss needs the host: it does for choices among the catalog."""
        if self.recipe.catalog_weight or self.user.history is not None:
            return None
        return ResidentRows.of(self.data, device, bytes_max=_RESIDENT_SHARE * memory_free(device))

    def _epoch_steps(self) -> int:
        rows = len(self.rows)
        step_rows_max = CATALOG_ROWS_MAX if self.catalog_only else self.recipe.batch_rows
        return max(-(-rows // step_rows_max), min(self.recipe.epoch_steps_min, rows // ROWS_MIN), 1)

    def run(self, report: Callable[[Epoch], object], end: int) -> Fitted:
        epochs: list[Epoch] = []
        best, least, kept = 0, float("inf"), self._state()
        judges = self.recipe.chooses_epoch and bool(len(self.held_out))
        # Not an attribute: a recorded step refers to this object, and a circle would keep the GPU's memory for long.
        take_steps = self._stepper()
        while len(epochs) < end and (not best or len(epochs) - best < self.recipe.patience):
            epoch = self._epoch(len(epochs) + 1, take_steps)
            epochs.append(epoch)
            stopped = report(epoch) is True
            least = min(least, epoch.badness)
            # A later epoch has a lower learning rate: it counts as better even if it looks worse, within noise.
            if not best or not judges or epoch.badness - epoch.held_out_ndcg_error <= least:
                best, kept = epoch.number, self._state()
            if stopped:
                break
        self.modules.load_state_dict(kept)
        self.modules.eval()
        return Fitted(self.user, self.item, self.head, self.recipe, tuple(epochs), best, self.held_out)

    def _epoch(self, number: int, take_steps: _Stepper) -> Epoch:
        self.modules.train()
        loss = take_steps(self.shuffling.parts(self.rng, self.epoch_steps))
        self.modules.eval()
        epoch = Epoch(number, self.recipe.epochs, loss)
        return self._judged(epoch) if len(self.held_out) else epoch

    def _stepper(self) -> _Stepper:
        """Return what takes the steps of an epoch."""
        if self.resident is None:
            return self._steps
        resident, device = self.resident, self.resident.weight.device
        self.steps_left = torch.tensor(float(self.steps), device=device)

        def step(rows: Tensor) -> Tensor:
            loss = self.objective.resident_loss(resident, rows, training=True)
            self._step(loss)
            return loss.detach()

        length_max = -(-len(self.rows) // self.epoch_steps)
        return GraphedSteps(step, rows=len(self.rows), length_max=length_max, device=device).epoch

    def _steps(self, parts: Iterable[Places | Ints32]) -> float:
        """Take a step over each part, and return the mean loss."""
        total = 0.0
        for chosen in parts:
            loss = self.objective.loss(chosen, self.rng, training=True)
            total += float(loss.detach()) * len(chosen)
            self._step(loss)
        return total / len(self.rows)

    def _step(self, loss: Tensor) -> None:
        # In a recorded step both are numbers on the GPU: it would repeat a number of the host as it was when recorded.
        rate = self.recipe.learning_rate * self.steps_left / self.steps
        self.steps_left -= 1
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step(rate)

    def _weights(self) -> list[Tensor]:
        return [weight for module in (self.user, self.item) for weight in module.parameters() if weight.dim() > 1]

    @torch.no_grad()
    def _judged(self, epoch: Epoch) -> Epoch:
        rows = self.held_out
        # The same draws for every epoch: where negatives are sampled, losses still compare.
        rng = np.random.default_rng(self.recipe.seed)
        parts = np.array_split(rows, -(-len(rows) // _HELD_OUT_ROWS))
        losses = [self._held_out_loss(part, rng) * len(part) for part in parts]
        epoch = replace(epoch, held_out_loss=sum(losses) / len(rows))
        if self.catalog_only:
            ndcg, error = self.ranking.ndcg(self.user, self.item)
            return replace(epoch, held_out_ndcg=ndcg, held_out_ndcg_error=error)
        return replace(epoch, held_out_auc=self.held_out_rows.auc(self.user, self.item))

    @cached_property
    def held_out_rows(self) -> HeldOutRows:
        return HeldOutRows(self.data, self.held_out)

    def _held_out_loss(self, rows: Places, rng: np.random.Generator) -> float:
        if self.resident is None:
            return float(self.objective.loss(rows, rng, training=False))
        there = torch.from_numpy(rows).to(self.resident.weight.device)
        return float(self.objective.resident_loss(self.resident, there, training=False))

    def _state(self) -> dict[str, Any]:
        return {name: value.detach().clone() for name, value in self.modules.state_dict().items()}


def _towers(lesson: Lesson, recipe: Recipe) -> tuple[TowerModule, TowerModule]:
    made = [
        TowerModule(
            spec,
            width=recipe.width,
            hidden=recipe.hidden,
            dim=recipe.dim,
            rectified=recipe.objective == "separate",
            id_spread=recipe.id_spread,
        )
        for spec in (lesson.user_spec, lesson.item_spec)
    ]
    if recipe.additive_start:
        for module in made:
            module.begin_additive()
    return made[0], made[1]
