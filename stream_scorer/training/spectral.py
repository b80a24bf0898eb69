"""Vectors of ids from a truncated singular value decomposition of who accepted what, without an optimiser.

It suits large sparse logs, where few pairs of a customer and an offer were accepted: steps along a gradient would need
hours to learn as much.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from stream_scorer.core.datasets.training_set import EncodedSide, Places, TrainingSet
from stream_scorer.core.features.spec import FeatureSpec
from stream_scorer.core.held_out.ranking_quality import AcceptedPairs
from stream_scorer.training.towers.tower_module import TowerModule

RANK_MAX = 512
ADDED = 2  # numbers that a vector has besides those of the singular vectors
_RANKS = (32, 64, 128, 256)
_RANK = 128
_DAMPINGS = (0.5, 1.0, 1.5, 2.0)
_APPEALS = (0.2, 0.3, 0.4, 0.5, 0.6)
SMOOTHING = 10.0  # acceptances that are added to every id's own, so that an id with few of them weighs less
_OVERSAMPLED = 20
_SWEEPS = 4
FORMS_MAX = 12  # so many forms a search can try
_BETTER = 0.002  # relative; a smaller gain is luck


@dataclass(frozen=True, slots=True)
class VectorForm:
    """How vectors are made from singular vectors.

    The first `rank` singular vectors are used. Customers' vectors are multiplied by the singular values to the power
    `damping`, and an offer's vector by its acceptances to the power `appeal`: at 0 popularity gives no advantage.
    """

    rank: int
    damping: float = 1.0
    appeal: float = 0.5


@dataclass(frozen=True, slots=True)
class AcceptedMatrix:
    """Who accepted what: each pair (n,) once, as rows of the two towers' tables."""

    customer: Places
    offer: Places
    customers: int  # height of the table
    offers: int

    @staticmethod
    def of(data: TrainingSet, rows: Places, *, customers: int, offers: int) -> "AcceptedMatrix":
        """Take the accepted rows of offers in the catalog whose two ids have table rows of their own."""
        rows = rows[data.accepted[rows] == 1]
        place = data.catalog_of[data.offer[rows]].astype(np.int64)
        customer = _own_row(data.customers)[data.customer[rows]]
        offer = _own_row(data.catalog)[place]
        known = (place >= 0) & (customer >= 0) & (offer >= 0)
        pairs = AcceptedPairs.of(customer[known], offer[known], catalog=offers)
        return AcceptedMatrix(pairs.customer, pairs.offer, customers, offers)

    @property
    def accepted(self) -> npt.NDArray[np.float64]:
        """How many customers accepted each offer (offers,), smoothed."""
        return np.asarray(np.bincount(self.offer, minlength=self.offers) + SMOOTHING, np.float64)


class Spectrum:
    """The leading singular vectors of the matrix of accepted pairs.

    An entry is 1 / sqrt(the customer's acceptances * the offer's acceptances), both smoothed. The normalisation is that
    of graph convolutions (Shen et al. 2021, doi:10.1145/3459637.3482264), the smoothing that of Peng et al. 2022,
    doi:10.1145/3511808.3557462.
    """

    def __init__(self, matrix: AcceptedMatrix, *, rank: int, seed: int, device: torch.device) -> None:
        """Decompose the matrix; `left_out` is the share of its squared entries that `rank` vectors do not explain."""
        self.accepted = torch.from_numpy(matrix.accepted).float()
        by_customer = np.bincount(matrix.customer, minlength=matrix.customers) + SMOOTHING
        weights = (by_customer[matrix.customer] * matrix.accepted[matrix.offer]) ** -0.5
        times = _SparseRows(matrix.customer, matrix.offer, weights, matrix.customers, device)
        transposed = _SparseRows(matrix.offer, matrix.customer, weights, matrix.offers, device)
        columns = min(rank + _OVERSAMPLED, matrix.customers, matrix.offers)
        basis = torch.randn(matrix.offers, columns, generator=torch.Generator().manual_seed(seed)).to(device)
        # A few more columns than asked for, and several sweeps, make the leading vectors nearly exact.
        for _ in range(_SWEEPS):  # subspace iteration: Halko, Martinsson and Tropp 2011, arXiv:0909.4061, algorithm 4.4
            basis = _orthonormal(transposed(_orthonormal(times(basis))))
        projected = times(basis)
        # The eigenvectors of a small square matrix give the singular vectors of the tall one.
        squares, turned = torch.linalg.eigh((projected.T @ projected).double())
        best = torch.arange(columns - 1, max(columns - rank, 0) - 1, -1, device=device)
        turn = turned[:, best].float()
        self.values = squares[best].clamp(min=1e-12).sqrt().float().cpu()  # (rank,)
        self.customers = (projected @ turn).cpu() / self.values  # (customers, rank)
        self.offers = (basis @ turn).cpu()  # (offers, rank)
        self.left_out = 1 - float(squares[best].sum()) / float((weights**2).sum())

    def towers(
        self, form: VectorForm, user_spec: FeatureSpec, item_spec: FeatureSpec
    ) -> tuple[TowerModule, TowerModule]:
        """Return towers without layers, whose tables hold these vectors."""
        users, items = self.tables(form)
        return TowerModule.looking_up(user_spec, users), TowerModule.looking_up(item_spec, items)

    def tables(self, form: VectorForm) -> tuple[Tensor, Tensor]:
        """Return unit vectors (rows, rank + ADDED) of customers and offers.

        Their cosines order offers as the dot products of the vectors before normalisation do: every offer gets a number
        that makes it as long as the longest, and customers have zero in its place, so that it adds nothing (Bachrach et
        al. 2014, doi:10.1145/2645710.2645741).
        """
        leading = slice(form.rank)
        customers = F.normalize(self.customers[:, leading] * self.values[leading] ** form.damping, dim=1)
        average = F.normalize(customers.mean(dim=0), dim=0)
        # A customer without acceptances has no direction of their own and gets the average one.
        customers = torch.where(customers.any(dim=1, keepdim=True), customers, average)
        offers = self.offers[:, leading] * self.accepted[:, None] ** form.appeal
        offers = offers / offers.norm(dim=1).max().clamp(min=1e-12)
        rest = (1 - offers.square().sum(dim=1)).clamp(min=0).sqrt()
        # This added number is nearly all of a rarely accepted offer's vector. It stands in two columns alternately:
        # in one alone, many such offers would look like a tower that has collapsed to a single vector.
        turns = torch.arange(len(rest))[:, None] % ADDED == torch.arange(ADDED)
        return F.pad(customers, (0, ADDED)), torch.cat([offers, rest[:, None] * turns], dim=1)


def best_form(judge: Callable[[VectorForm], float], *, rank_max: int, rank: int | None = None) -> VectorForm:
    """Search the form for which `judge` gives the most, parameter by parameter.

    A given `rank` stays as it is. Another form must be better by more than luck, as the form at the start suits many
    logs.
    """
    ranks = [*(value for value in _RANKS if value < rank_max), rank_max]
    walk = _FormWalk(judge, VectorForm(min(ranks, key=lambda value: abs(value - _RANK)) if rank is None else rank))
    if rank is None:
        walk.along("rank", ranks)
    walk.along("damping", _DAMPINGS)
    walk.along("appeal", _APPEALS)
    return walk.best


class _FormWalk:
    """The state of the search: the best form so far, and its figure."""

    def __init__(self, judge: Callable[[VectorForm], float], start: VectorForm) -> None:
        self.judge, self.best, self.found = judge, start, judge(start)

    def along(self, name: str, values: Sequence[float]) -> None:
        """Try larger values, and smaller ones if none is better; go on in that direction while the figure improves."""
        here = values.index(getattr(self.best, name))
        for direction in (values[here + 1 :], values[:here][::-1]):
            if self._moves(name, direction):
                return

    def _moves(self, name: str, values: Sequence[float]) -> bool:
        start = self.best
        for value in values:
            changed: dict[str, Any] = {name: value}
            form = replace(self.best, **changed)
            found = self.judge(form)
            if found <= self.found * (1 + _BETTER):
                break
            self.best, self.found = form, found
        return self.best is not start


class _SparseRows:
    """A sparse matrix, stored row by row, that can be multiplied by a dense one."""

    def __init__(
        self, row: Places, column: Places, weights: npt.NDArray[np.float64], height: int, device: torch.device
    ) -> None:
        order = np.argsort(row, kind="stable")
        counts = np.bincount(row, minlength=height)
        self.columns = torch.from_numpy(column[order]).to(device)
        self.weights = torch.from_numpy(weights[order]).float().to(device)
        self.starts = torch.from_numpy(np.cumsum(counts) - counts).to(device)

    def __call__(self, dense: Tensor) -> Tensor:
        """Return the product (height, columns of the dense one)."""
        # A weighted sum of the dense matrix's rows is a row of the product. This way no sparse tensors are needed,
        # which torch still calls a beta.
        return F.embedding_bag(self.columns, dense, self.starts, mode="sum", per_sample_weights=self.weights)


def _orthonormal(matrix: Tensor) -> Tensor:
    # qr returns the matrix in column order, from which gathering rows takes ten times as long.
    basis: Tensor = torch.linalg.qr(matrix)[0].contiguous()
    return basis


def _own_row(side: EncodedSide) -> Places:
    """Return the table row of each example of a side with one slot, -1 where it has hashed rows, shared with others."""
    first = side.starts[:-1]
    return np.where(np.diff(side.starts) == 1, side.rows[first], -1).astype(np.int64)
