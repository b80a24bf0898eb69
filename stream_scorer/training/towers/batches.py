"""Encoded examples as torch tensors, and the dropout of ids among them."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from stream_scorer.core.datasets.training_set import EncodedSide, Places
from stream_scorer.core.features.slots import Category, hashed_rows
from stream_scorer.core.features.spec import FeatureSpec


@dataclass(frozen=True, slots=True)
class Batch:
    """B encoded examples of one side as torch tensors; `starts` says where each slot's rows begin in `rows` (CSR).

    A slot's embedding is the mean of its rows', or with `shares` their sum, each weighted by its share.
    """

    rows: Tensor  # (nnz,)
    starts: Tensor  # (B * slots,)
    numbers: Tensor  # (B, n)
    shares: Tensor | None = None  # (nnz,)

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
        if self.rows.device == device:
            return self
        shares = None if self.shares is None else self.shares.to(device)
        return Batch(self.rows.to(device), self.starts.to(device), self.numbers.to(device), shares)


class IdDropout:
    """Replaces a share of the ids in training by unseen ones: hashed rows thus learn what an average new id is like."""

    def __init__(self, spec: FeatureSpec, share: float) -> None:
        """Work out, for each vocabulary row, which hashed rows its value would have if it were unseen."""
        self.share = share
        self.unseen: Places | None = None
        self._unseen_there: Tensor | None = None  # the same on a device
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

    def on_device(self, batch: Batch) -> Batch:
        """Do the same on the batch's device, by the random numbers of torch's generator there."""
        if self.unseen is None:
            return batch
        if self._unseen_there is None or self._unseen_there.device != batch.rows.device:
            self._unseen_there = torch.from_numpy(self.unseen).to(batch.rows.device)
        # Every row draws, dropped or not: a number of draws that depends on the draws would make the host wait.
        dropped = torch.rand(len(batch.rows), device=batch.rows.device) < self.share
        hashed = torch.randint(self._unseen_there.shape[1], (len(batch.rows),), device=batch.rows.device)
        return replace(batch, rows=torch.where(dropped, self._unseen_there[batch.rows, hashed], batch.rows))
