"""What a customer accepted as a part of the embedding of the customer's id."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stream_scorer.core.datasets.training_set import Places, TrainingSet
from stream_scorer.core.features.spec import FeatureSpec
from stream_scorer.core.held_out.ranking_quality import AcceptedPairs

HISTORY_SPREAD = 0.05
_HISTORY_KEPT = 0.7


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
