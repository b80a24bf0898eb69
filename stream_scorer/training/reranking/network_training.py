"""Trains a network on prepared pairs, and exports it as the re-ranker that serves.

Several members are trained from different seeds and laid side by side, so that the score is the mean of theirs.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stream_scorer.core.datasets.training_set import EncodedSide, Places
from stream_scorer.core.features.spec import FeatureSpec, Floats
from stream_scorer.core.reranking.network import NetworkReranker
from stream_scorer.core.towers.tower import Layer, Tower
from stream_scorer.errors import BadModel
from stream_scorer.training.reranking.prepared import PreparedPairs
from stream_scorer.training.steps.adam import Adam
from stream_scorer.training.towers.batches import Batch

RANKS = 65  # shown ranks that are told apart; 0 is unknown, and the last stands for all beyond it
STEPS = 400
_REQUESTS = 256
_RATE = 0.02  # Adam's step size at first; it falls to nothing
_START = 0.05
_GOLDEN = 64
PARITY_MAX = 1e-3
SPREAD_MIN = 0.05


@dataclass(frozen=True, slots=True)
class NetworkSize:
    """Width of embeddings, how many products and ReLU units there are, and the L2 penalty in requests.

    A network without products and units is a linear model of what each side and the pair say.
    """

    width: int = 4
    crossed: int = 4
    units: int = 8
    penalty: float = 3.0
    members: int = 1
    steps: int = STEPS


class RerankerModule(nn.Module):
    """One member: the first layer in three parts, and one unit behind it."""

    def __init__(self, customers: FeatureSpec, offers: FeatureSpec, columns: int, size: NetworkSize) -> None:
        """Draw the weights; those behind the first layer are small, so that the score begins as next to nothing."""
        super().__init__()
        self.crossed, self.total = size.crossed, 2 * size.crossed + size.units + 1
        self.tables = nn.ParameterList()
        self.halves = nn.ParameterList()
        for spec in (customers, offers):
            self.tables.append(nn.Parameter(torch.randn(spec.table_rows, size.width) * _START))
            self.halves.append(_weights(self.total, size.width * len(spec.slots) + spec.numbers))
        self.pair = _weights(self.total, columns)
        # kinks in different places from the start: all at 0, they would take many steps to part
        self.bias = nn.Parameter(torch.cat([torch.rand(self.total - 1) * 2 - 1, torch.zeros(1)]))
        self.out = nn.Parameter(torch.randn(size.crossed + size.units) * _START)
        self.position = nn.Parameter(torch.zeros(RANKS))  # learned beside the score, and left out of it in serving

    def part(self, number: int, side: EncodedSide, chosen: Places) -> Tensor:
        """Return one side's part of the first layer (B, W)."""
        batch = Batch.of(side, chosen)
        found = batch.numbers
        if side.slots:
            slots = F.embedding_bag(batch.rows, self.tables[number], batch.starts, mode="mean")
            found = torch.cat([slots.reshape(len(chosen), -1), batch.numbers], dim=1)
        return F.linear(found, self.halves[number])

    def forward(self, data: PreparedPairs, columns: Tensor, rows: Places) -> Tensor:
        """Return the scores of some pairs."""
        sums = F.linear(columns[torch.from_numpy(rows)], self.pair, self.bias)
        pairs = data.pairs
        sides = ((pairs.customers, pairs.customer), (pairs.offers, pairs.offer))
        for number, (side, place) in enumerate(sides):
            distinct, of = np.unique(place[rows], return_inverse=True)
            sums = sums + self.part(number, side, distinct)[torch.from_numpy(of.reshape(-1))]
        products = sums[:, : self.crossed] * sums[:, self.crossed : 2 * self.crossed]
        hidden = torch.cat([products, F.relu(sums[:, 2 * self.crossed : -1])], dim=1)
        return hidden @ self.out + sums[:, -1]


def _weights(rows: int, columns: int) -> nn.Parameter:
    weights = torch.randn(rows, columns) * max(columns, 1) ** -0.5
    weights[-1] = 0.0  # what is added as it is
    return nn.Parameter(weights)


def train_network(data: PreparedPairs, size: NetworkSize, *, seed: int) -> NetworkReranker:
    """Train the members and return them as one network in numpy.

    Raises BadModel where numpy and torch differ on golden rows.
    """
    # columns are standardised for the optimiser; the export undoes it
    means, spread = data.columns.mean(axis=0), data.columns.std(axis=0)
    # a column that hardly varies here must not be blown up: serving may meet it where it does
    scales = 1 / np.maximum(spread, SPREAD_MIN)
    columns = torch.from_numpy(((data.columns - means) * scales).astype(np.float32))
    with torch.random.fork_rng(devices=[]):
        members = [_member(data, columns, size, seed + number) for number in range(size.members)]
    reranker = export_network(data, members, means, scales)
    golden = np.unique(np.linspace(0, len(data.columns) - 1, _GOLDEN).astype(np.int64))
    difference = float(np.abs(data.scores(reranker)[golden] - torch_scores(data, members, columns, golden)).max())
    # "not <=" rather than ">": a difference of NaN must fail, too.
    if not difference <= PARITY_MAX:
        raise BadModel(f"the re-ranker differs from torch by {difference:.2g} on golden rows, at most {PARITY_MAX}")
    return reranker


@torch.no_grad()
def torch_scores(data: PreparedPairs, members: list[RerankerModule], columns: Tensor, rows: Places) -> Floats:
    """Return the mean of the members' scores of some pairs, as torch computes them."""
    scores = [_array(member(data, columns, rows)) for member in members]
    return np.asarray(np.mean(scores, axis=0), np.float64)


def _member(data: PreparedPairs, columns: Tensor, size: NetworkSize, seed: int) -> RerankerModule:
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    inputs = data.inputs
    module = RerankerModule(inputs.customers.spec, inputs.offers.spec, columns.shape[1], size)
    optimiser = Adam(module.parameters())
    first = np.searchsorted(data.pairs.group, np.arange(data.pairs.groups + 1))
    for step in range(size.steps):
        chosen = np.sort(rng.permutation(data.pairs.groups)[:_REQUESTS])
        rows = np.concatenate([np.arange(first[one], first[one + 1]) for one in chosen])
        loss = _loss(module(data, columns, rows), data, rows, module.position)
        weights = (weight.square().sum() for name, weight in module.named_parameters() if name != "bias")
        penalty = size.penalty / data.pairs.groups * torch.stack(list(weights)).sum()
        optimiser.zero_grad()
        (loss + penalty).backward()  # type: ignore[no-untyped-call]
        optimiser.step(_RATE * (1 - step / size.steps))
    return module


def _loss(scores: Tensor, data: PreparedPairs, rows: Places, position: Tensor) -> Tensor:
    """Return the log loss a request: of the accepted among all where it is a choice, else of each answer."""
    pairs = data.pairs
    accepted = torch.from_numpy(pairs.accepted[rows].astype(np.float32))
    if not data.choices:
        ranks = torch.from_numpy(np.minimum(pairs.shown_rank[rows], RANKS - 1))
        losses = F.binary_cross_entropy_with_logits(scores + position[ranks], accepted, reduction="sum")
        return losses / max(1, len(np.unique(pairs.group[rows])))
    _, group = np.unique(pairs.group[rows], return_inverse=True)
    of = torch.from_numpy(group.reshape(-1))
    count = int(of[-1]) + 1
    most = torch.full((count,), -torch.inf).scatter_reduce(0, of, scores.detach(), "amax")
    total = torch.zeros(count).index_add(0, of, (scores - most[of]).exp()).log() + most
    return (accepted * (total[of] - scores)).sum() / count


def export_network(
    data: PreparedPairs, members: list[RerankerModule], means: Floats, scales: Floats
) -> NetworkReranker:
    """Return the members side by side: products first, then units, and the sum of what is added as it is."""
    inputs, count = data.inputs, len(members)
    order = _places([(member.crossed, member.total) for member in members])
    halves = []
    for number, spec in enumerate((inputs.customers.spec, inputs.offers.spec)):
        table = np.concatenate([_array(member.tables[number]) for member in members], axis=1)
        width = members[0].tables[number].shape[1]
        weight = _block([_array(member.halves[number]) for member in members], len(spec.slots), width)
        halves.append(Tower(spec, table.astype(np.float32), "concat", (Layer(order @ weight, np.zeros(len(order))),)))
    pair = np.concatenate([_array(member.pair) for member in members])
    bias = np.concatenate([_array(member.bias) for member in members]) - pair @ (means * scales)
    mine = halves[0].layers[0]
    with_bias = Tower(inputs.customers.spec, halves[0].table, "concat", (Layer(mine.weight, order @ bias),))
    crossed = members[0].crossed
    outs = [_array(member.out) for member in members]
    last = np.concatenate([*(out[:crossed] for out in outs), *(out[crossed:] for out in outs)]) / count
    layers = (Layer(last[None, :], np.zeros(1)),)
    return NetworkReranker(inputs, with_bias, halves[1], order @ (pair * scales), crossed * count, layers)


def _places(sizes: list[tuple[int, int]]) -> Floats:
    """Return the matrix that puts the members' units in the order of a single network, the last ones averaged."""
    crossed, total = sizes[0]
    starts = [number * total for number in range(len(sizes))]
    rows = [start + unit for start in starts for unit in range(crossed)]
    rows += [start + crossed + unit for start in starts for unit in range(crossed)]
    rows += [start + unit for start in starts for unit in range(2 * crossed, total - 1)]
    order = np.zeros((len(rows) + 1, total * len(sizes)))
    order[np.arange(len(rows)), rows] = 1.0
    order[-1, [start + total - 1 for start in starts]] = 1.0 / len(sizes)
    return order


def _block(weights: list[Floats], slots: int, width: int) -> Floats:
    """Return the members' weights as one matrix, over slots whose embeddings stand side by side by member."""
    total, members = len(weights[0]), len(weights)
    split = slots * width
    embedded = np.zeros((members, total, slots, members, width))
    for number, weight in enumerate(weights):
        embedded[number, :, :, number] = weight[:, :split].reshape(total, slots, width)
    numbers = np.concatenate([weight[:, split:] for weight in weights])
    return np.concatenate([embedded.reshape(members * total, -1), numbers], axis=1)


def _array(tensor: Tensor) -> Floats:
    return tensor.detach().numpy().astype(np.float64)
