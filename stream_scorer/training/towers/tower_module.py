"""One tower as a torch module: the architecture of `core.towers.tower`, in a form that can be trained."""

from itertools import pairwise
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stream_scorer.core.features.slots import Category
from stream_scorer.core.features.spec import FeatureSpec
from stream_scorer.core.towers.tower import Layer, Tower
from stream_scorer.training.towers.bag_means import bag_means
from stream_scorer.training.towers.batches import Batch
from stream_scorer.training.towers.history import AcceptedHistory
from stream_scorer.training.towers.tied_bag import TiedBag

DIRECT_SPREAD = 0.05
ADDITIVE_SPREAD = 0.1
APPEAL, CONSTANT = 0, 1  # the dimensions that `begin_additive` sets apart


class TowerModule(nn.Module):
    """One tower: embeddings and numbers are concatenated and pass through layers to an L2-normalised vector.

    A tower whose only input is one category and that has no hidden layers needs no layer at all: its table holds the
    vectors, apart from a bias. With `rectified` the last layer has a ReLU too, as the hidden layer of a classifier has.
    """

    def __init__(
        self,
        spec: FeatureSpec,
        *,
        width: int,
        hidden: tuple[int, ...],
        dim: int,
        rectified: bool = False,
        id_spread: float = 0.05,
    ) -> None:
        """Draw the initial weights from torch's global generator."""
        super().__init__()
        self.spec, self.rectified = spec, rectified
        self.slots = len(spec.slots)
        self.reads_features = self.slots > 1 or spec.numbers > 0
        self.direct = self.slots == 1 and not spec.numbers and not hidden and not rectified
        self.history: AcceptedHistory | None = None
        self.tied: TiedBag | None = None
        self.fixed: int | None = None  # the output that training leaves at 1
        width = dim if self.direct else width
        spread = torch.tensor(DIRECT_SPREAD) if self.direct else width**-0.5 * _spread(spec, id_spread)
        self.table = nn.Parameter(torch.randn(spec.table_rows, width) * spread)
        sizes = [self.slots * width + spec.numbers, *hidden, dim]
        linear = [] if self.direct else [nn.Linear(before, after) for before, after in pairwise(sizes)]
        self.layers = nn.ModuleList(linear)
        self.bias = nn.Parameter(torch.zeros(dim), requires_grad=self.direct)

    def begin_additive(self) -> None:
        """Begin near a logistic regression on the offer's inputs: an offer's own appeal, the same for everyone.

        Dimension 0 holds the appeal: the customer's part of it is 1 and stays so, the offer's is a sum over its inputs.
        In dimension 1 every offer begins at 1. Vectors of one dimension have no room for this and begin as they are.
        """
        if self.bias.shape[0] <= CONSTANT:
            return
        weight, bias, axis = self._last()
        with torch.no_grad():
            if not self.direct:  # tables without layers begin as small as that anyhow
                # What depends on both sides must earn its place against the L2 penalty.
                weight.mul_(ADDITIVE_SPREAD)
                bias.zero_()
            # Beside a constant 1 a small appeal hardly changes a vector's length, so the cosine is in proportion to it.
            weight.select(axis, CONSTANT).zero_()
            bias[APPEAL if self.spec.side == "customer" else CONSTANT] = 1.0
            if self.spec.side == "customer":
                weight.select(axis, APPEAL).zero_()
        if self.spec.side == "customer":
            self.fixed = APPEAL
            _keep(weight, axis, APPEAL)
            _keep(bias, 0, APPEAL)

    def _last(self) -> tuple[Tensor, Tensor, int]:
        """Return the weight and the bias that make the outputs, and which of the weight's axes runs over them."""
        if self.direct:
            return self.table, self.bias, 1
        last = cast("nn.Linear", self.layers[-1])
        return last.weight, last.bias, 0

    def forward(self, batch: Batch) -> Tensor:
        """Return unit vectors (B, p)."""
        return F.normalize(self.outputs(batch), dim=1)

    def outputs(self, batch: Batch) -> Tensor:
        """Return what the last layer gives (B, p), before it is normalised."""
        batch = batch.on(self.table.device)
        if self.direct:
            return self._looked_up(batch) + self.bias
        hidden = torch.cat([self._looked_up(batch), batch.numbers], dim=1) if self.slots else batch.numbers
        for layer in self.layers[:-1]:
            hidden = F.relu(layer(hidden))
        if self.tied is not None:
            only = cast("nn.Linear", self.layers[0])
            return F.linear(hidden, self.tied.weight(only.weight), only.bias)
        last: Tensor = self.layers[-1](hidden)
        return F.relu(last) if self.rectified else last

    def _looked_up(self, batch: Batch) -> Tensor:
        """Return the slots' embeddings, concatenated: (B, slots * width)."""
        if self.history is None:
            table = self.table if self.tied is None else self.tied.table(self.table)
            found = _means(table, batch)
        else:
            rows = self.table[batch.rows] + self.history(batch.rows.cpu().numpy())
            found = F.embedding_bag(torch.arange(len(rows), device=rows.device), rows, batch.starts, mode="mean")
        return found.reshape(len(batch.numbers), -1)

    def settle(self) -> None:
        """Write what other modules hold of this tower into its own weights, which are all that it exports."""
        with torch.no_grad():
            if self.tied is not None:
                only = cast("nn.Linear", self.layers[0])
                self.table.copy_(self.tied.table(self.table))
                only.weight.copy_(self.tied.weight(only.weight))
                self.tied = None
            if self.history is not None:
                self.history.eval()
                self.table.add_(self.history(np.arange(self.spec.table_rows)))
                self.history = None
            if self.direct:
                self.table.add_(self.bias)
                self.bias.zero_()

    @staticmethod
    def looking_up(spec: FeatureSpec, table: Tensor) -> "TowerModule":
        """Return a tower without layers, whose only input is a category and whose table holds the vectors."""
        module = TowerModule(spec, width=1, hidden=(), dim=1)
        module.table = nn.Parameter(table)
        module.bias = nn.Parameter(torch.zeros(table.shape[1]))
        return module

    def export(self) -> Tower:
        """Return the same tower in numpy; call `settle` first."""
        linear = [cast("nn.Linear", layer) for layer in self.layers]
        layers = tuple(
            Layer(
                _array(layer.weight),
                _array(layer.bias),
                "relu" if number < len(linear) - 1 or self.rectified else "linear",
            )
            for number, layer in enumerate(linear)
        )
        return Tower(
            spec=self.spec, table=self.table.detach().cpu().numpy().astype(np.float32), combine="concat", layers=layers
        )


def _means(table: Tensor, batch: Batch) -> Tensor:
    """Return the embedding of each slot of each example (B * slots, width)."""
    if batch.shares is None and table.device.type == "cpu":
        return bag_means(table, batch.rows, batch.starts)
    how = "mean" if batch.shares is None else "sum"
    return F.embedding_bag(batch.rows, table, batch.starts, mode=how, per_sample_weights=batch.shares)


def _spread(spec: FeatureSpec, id_spread: float) -> Tensor:
    """Return the initial spread of each table row (rows, 1), relative to that of features, which is 1."""
    spread = torch.ones(spec.table_rows, 1)
    for slot, first in zip(spec.slots, spec.first_rows, strict=False):
        if isinstance(slot, Category) and slot.from_id:
            spread[first : first + slot.height] = id_spread
    return spread


def _keep(weight: Tensor, axis: int, place: int) -> None:
    """Keep the optimiser from changing one row or column of a weight."""

    def without(gradient: Tensor) -> Tensor:
        # By a view, not by an index: an index would be copied from the host, which a recorded step cannot do.
        kept = gradient.clone()
        kept.select(axis, place).zero_()
        return kept

    weight.register_hook(without)  # type: ignore[no-untyped-call]


def _array(tensor: Tensor) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]]":
    return tensor.detach().cpu().numpy().astype(np.float64)
