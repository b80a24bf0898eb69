"""The two towers as torch modules: the architecture of `core.towers.tower`, in a form that can be trained."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stream_scorer.core.datasets.accepted_before import ACCEPTED_BEFORE
from stream_scorer.core.datasets.training_set import EncodedSide, Places, TrainingSet
from stream_scorer.core.features.slots import Bag, Category, hashed_rows
from stream_scorer.core.features.spec import FeatureSpec
from stream_scorer.core.held_out.ranking_quality import AcceptedPairs
from stream_scorer.core.towers.tower import Layer, Tower

HISTORY_SPREAD = 0.05
DIRECT_SPREAD = 0.05
ADDITIVE_SPREAD = 0.1
APPEAL, CONSTANT = 0, 1  # the dimensions that `begin_additive` sets apart
_HISTORY_KEPT = 0.7
_GAIN = 3.0  # how far the mean of the accepted offers reaches at first, beside the other inputs


@dataclass(frozen=True, slots=True)
class Batch:
    """B encoded examples of one side as torch tensors; `starts` says where each slot's rows begin in `rows` (CSR)."""

    rows: Tensor  # (nnz,)
    starts: Tensor  # (B * slots,)
    numbers: Tensor  # (B, n)

    @staticmethod
    def of(side: EncodedSide, chosen: Places) -> "Batch":
        """Gather the chosen examples of a side."""
        rows, starts = side.segments(chosen)
        return Batch(
            torch.from_numpy(rows.astype(np.int64)),
            torch.from_numpy(starts[:-1].copy()),  # embedding_bag takes the bags' starts without the final end
            torch.from_numpy(side.numbers[chosen]),
        )

    def on(self, device: torch.device) -> "Batch":
        """Return the batch on a device."""
        return (
            self
            if device.type == "cpu"
            else Batch(self.rows.to(device), self.starts.to(device), self.numbers.to(device))
        )


class IdDropout:
    """Replaces a share of the ids in training by unseen ones: hashed rows thus learn what an average new id is like."""

    def __init__(self, spec: FeatureSpec, share: float) -> None:
        """Work out, for each vocabulary row, which hashed rows its value would have if it were unseen."""
        self.share = share
        self.unseen: Places | None = None
        for slot, first in zip(spec.slots, spec.first_rows, strict=False):
            if share and isinstance(slot, Category) and slot.from_id and slot.buckets:
                if self.unseen is None:  # every other row stands for itself, so that one lookup serves all rows
                    self.unseen = np.tile(np.arange(spec.table_rows)[:, None], (1, slot.hashes))
                self.unseen[first + 1 : first + 1 + len(slot.vocabulary)] = hashed_rows(slot, first)

    def __call__(self, batch: Batch, rng: np.random.Generator) -> Batch:
        """Return the batch, in which some ids are replaced by one of their hashed rows; its `rows` are overwritten."""
        if self.unseen is None:
            return batch
        rows = batch.rows.numpy()
        dropped = np.flatnonzero(rng.random(len(rows)) < self.share)
        rows[dropped] = self.unseen[rows[dropped], rng.integers(0, self.unseen.shape[1], len(dropped))]
        return batch


@dataclass(frozen=True, slots=True)
class Taken:
    """For each row of a table of ids, the offers of the catalog that this customer accepted, as CSR."""

    offers: Places
    starts: Places  # (rows + 1,)

    @staticmethod
    def of(data: TrainingSet, rows: Places, spec: FeatureSpec) -> "Taken":
        """Collect what each known id accepted; the id is the tower's only input, so each encoding is a table row."""
        customer = data.customer[rows].astype(np.int64)
        first = data.customers.starts[customer]
        place = data.catalog_of[data.offer[rows]].astype(np.int64)
        kept = (data.customers.starts[customer + 1] - first == 1) & (place >= 0)
        pairs = AcceptedPairs.of(
            data.customers.rows[first[kept]].astype(np.int64), place[kept], catalog=len(data.catalog)
        )
        known = (pairs.customer > 0) & (pairs.customer <= len(spec.slots[0].vocabulary))
        counts = np.bincount(pairs.customer[known], minlength=spec.table_rows)
        return Taken(pairs.offer[known], np.concatenate([[0], np.cumsum(counts)]))


class AcceptedHistory(nn.Module):
    """Adds to an id's embedding the mean of the embeddings of the offers that the customer accepted.

    In training a random part of these offers is left out, as in dropout: otherwise the history would always give away
    the offer that is to be predicted.
    """

    def __init__(self, taken: Taken, *, catalog: int, dim: int) -> None:
        """Draw the initial weights from torch's global generator."""
        super().__init__()
        self.taken = taken
        self.table = nn.Parameter(torch.randn(catalog, dim) * HISTORY_SPREAD)

    def forward(self, rows: npt.NDArray[np.int64]) -> Tensor:
        """Return the mean of each row's history (n, dim), zeros for rows without one."""
        first = self.taken.starts[rows]
        counts = self.taken.starts[rows + 1] - first
        starts = np.cumsum(counts) - counts
        # Each row's places are first, first + 1, …: one arange over all, shifted by where the row begins in it.
        offers = torch.from_numpy(self.taken.offers[np.repeat(first - starts, counts) + np.arange(counts.sum())])
        share = torch.ones(len(offers))
        if self.training:
            share = (torch.rand(len(offers)) < _HISTORY_KEPT).float() / _HISTORY_KEPT
        weights = share / torch.from_numpy(np.repeat(counts, counts)).float()
        at = self.table.device
        return F.embedding_bag(
            offers.to(at), self.table, torch.from_numpy(starts).to(at), mode="sum", per_sample_weights=weights.to(at)
        )


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
            found = F.embedding_bag(batch.rows, table, batch.starts, mode="mean")
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
    def side_by_side(members: "Sequence[TowerModule]") -> "TowerModule":
        """Concatenate the members of an ensemble, so that the cosine is the mean of theirs.

        Members have no layers and must be settled first. Each is normalised, so that all weigh the same.
        """
        tables = [F.normalize(member.table.detach(), dim=1) for member in members]
        return TowerModule.looking_up(members[0].spec, torch.cat(tables, dim=1))

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


class TiedBag(nn.Module):
    """The table rows and the weights of a bag in the user tower, as the item tower has them for the offers' ids.

    With rows of its own, a bag is a fingerprint by which training knows its customers again, and nothing of it carries
    over to others. With the offers' rows, an accepted offer points to itself from the start (as in Kabbur et al. 2013,
    doi:10.1145/2487575.2487589, whose two tables are one here).
    """

    shared: Tensor
    row: Tensor

    def __init__(self, user: TowerModule, item: TowerModule, bag: int, ids: int) -> None:
        """Tie slot `bag` of the user tower to slot `ids` of the item tower; neither has hidden layers."""
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(_GAIN))
        self._item = (item,)  # in a tuple: as a submodule, the item tower would be trained and saved twice
        width = user.table.shape[1]
        self._columns, self._item_columns = (slice(slot * width, (slot + 1) * width) for slot in (bag, ids))
        row = np.full(user.spec.table_rows, -1, np.int64)
        places = {value: place for place, value in enumerate(item.spec.slots[ids].vocabulary)}
        first, first_item = user.spec.first_rows[bag] + 1, item.spec.first_rows[ids] + 1
        for place, offer in enumerate(user.spec.slots[bag].vocabulary):
            if offer in places:
                row[first + place] = first_item + places[offer]
        self.register_buffer("shared", torch.from_numpy(row >= 0)[:, None], persistent=False)
        self.register_buffer("row", torch.from_numpy(np.maximum(row, 0)), persistent=False)

    def table(self, table: Tensor) -> Tensor:
        """Return the user tower's table (rows, width), in which known offers of the bag have the item tower's rows."""
        return torch.where(self.shared, self._item[0].table.to(table.device)[self.row], table)

    def weight(self, weight: Tensor) -> Tensor:
        """Return the user tower's weights (p, inputs), in which the bag has the item tower's, times the gain."""
        offers = cast("nn.Linear", self._item[0].layers[0]).weight.to(weight.device)[:, self._item_columns]
        return torch.cat([weight[:, : self._columns.start], self.gain * offers, weight[:, self._columns.stop :]], dim=1)


def tied_bag(user: TowerModule, item: TowerModule) -> TiedBag | None:
    """Return the tie of the bag `accepted_before` to the offers' ids, None where towers lack one, or differ in form."""
    if len(user.layers) != 1 or len(item.layers) != 1:
        return None
    bags = [at for at, one in enumerate(user.spec.slots) if isinstance(one, Bag) and one.name == ACCEPTED_BEFORE]
    ids = [at for at, one in enumerate(item.spec.slots) if isinstance(one, Category) and one.from_id]
    return TiedBag(user, item, bags[0], ids[0]) if bags and ids else None


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
        return gradient.index_fill(axis, torch.tensor([place], device=gradient.device), 0.0)

    weight.register_hook(without)  # type: ignore[no-untyped-call]


def _array(tensor: Tensor) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]]":
    return tensor.detach().cpu().numpy().astype(np.float64)
