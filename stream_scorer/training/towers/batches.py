"""Encoded examples as torch tensors, and the dropout of ids among them."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from stream_scorer.core.datasets.training_set import EncodedSide, Places
from stream_scorer.core.features.slots import Category, hashed_rows
from stream_scorer.core.features.spec import FeatureSpec


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
