"""Labelled rows and their inputs as tensors on the device that trains, so that minibatches are gathered there."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from stream_scorer.core.datasets.training_set import EncodedSide, Ints32, Places, TrainingSet
from stream_scorer.training.towers.batches import Batch

# Padded bags may take this many times the memory of the bags alone: one very long bag would make all of them as long.
_PADDED_MAX = 8
_CELL_BYTES, _NUMBER_BYTES, _LABELS_BYTES = 8, 4, 15
_BLOCK = 65_536  # examples that are padded at a time, so that the 8-byte places in between stay few


@dataclass(frozen=True, slots=True)
class Labels:
    """The labels of B rows: whether the offer was accepted, the row's weight, and its rank, 0 where unknown."""

    accepted: Tensor  # (B,), float32
    weight: Tensor  # (B,), float32
    rank: Tensor  # (B,), int64


@dataclass(frozen=True, slots=True)
class PaddedSide:
    """The encoded examples of one side, each slot padded to its longest bag.

    So all minibatches of one length have the same shapes, whatever they hold, and the host needs no count of anything
    on the device. A table row of a padding cell counts for nothing, as its share is 0.
    """

    rows: Tensor  # (count, cells), int32
    shares: Tensor | None  # (count, cells), float32; None where every slot has one cell
    numbers: Tensor  # (count, n)
    first_cells: Tensor  # (slots,)

    @staticmethod
    def of(side: EncodedSide, device: torch.device) -> "PaddedSide":
        """Pad the examples of a side, and copy them to a device."""
        longest = _longest(side)
        blocks = (np.arange(start, min(start + _BLOCK, len(side))) for start in range(0, len(side), _BLOCK))
        padded = zip(*(_padded(side, block, longest) for block in blocks), strict=True)
        rows, shares = (torch.from_numpy(np.concatenate(parts)) for parts in padded)
        return PaddedSide(
            rows.to(device),
            shares.to(device) if (longest > 1).any() else None,
            torch.from_numpy(side.numbers).to(device),
            torch.from_numpy(_first_cells(longest)).to(device),
        )

    def batch(self, chosen: Tensor) -> Batch:
        """Gather the chosen examples (B,)."""
        cells = self.rows.shape[1]
        begins = torch.arange(len(chosen), device=chosen.device)[:, None] * cells
        return Batch(
            self.rows[chosen].reshape(-1).long(),
            (begins + self.first_cells).reshape(-1),
            self.numbers[chosen],
            None if self.shares is None else self.shares[chosen].reshape(-1),
        )


@dataclass(frozen=True, slots=True)
class ResidentRows:
    """All rows of a training set on one device. Each row has its own copy of its inputs in a minibatch.

    Rows of one request could share a customer's pass through the tower, but finding them would take the GPU longer than
    the passes, and the host would have to wait for their number.
    """

    customers: PaddedSide
    offers: PaddedSide
    customer: Tensor  # (n,), int32
    offer: Tensor  # (n,), int32
    accepted: Tensor  # (n,), int8
    weight: Tensor  # (n,), float32
    rank: Tensor  # (n,), int16

    @staticmethod
    def of(data: TrainingSet, device: torch.device, *, bytes_max: float) -> "ResidentRows | None":
        """Copy the rows to a device; None where that takes more than `bytes_max`, or bags are too uneven to pad."""
        sides = data.customers, data.offers
        if any(map(_uneven, sides)) or sum(map(_bytes, sides)) + len(data) * _LABELS_BYTES > bytes_max:
            return None
        columns = (data.customer, data.offer, data.accepted, data.weight, data.rank)
        return ResidentRows(
            PaddedSide.of(data.customers, device),
            PaddedSide.of(data.offers, device),
            *(torch.from_numpy(np.ascontiguousarray(column)).to(device) for column in columns),
        )

    def inputs(self, rows: Tensor) -> tuple[Batch, Batch]:
        """Return the inputs of some rows (B,), customers' and offers'."""
        return self.customers.batch(self.customer[rows]), self.offers.batch(self.offer[rows])

    def labels(self, rows: Tensor) -> Labels:
        """Return the labels of some rows (B,)."""
        return Labels(self.accepted[rows].float(), self.weight[rows], self.rank[rows].long())


def _longest(side: EncodedSide) -> Places:
    """Return how many rows each slot has in the example that has the most of them (slots,)."""
    longest: Places = np.diff(side.starts).reshape(len(side), side.slots).max(axis=0, initial=1)
    return longest


def _first_cells(longest: Places) -> Places:
    return np.cumsum(longest) - longest


def _uneven(side: EncodedSide) -> bool:
    return len(side) * int(_longest(side).sum()) > _PADDED_MAX * len(side.rows)


def _bytes(side: EncodedSide) -> int:
    return len(side) * int(_longest(side).sum()) * _CELL_BYTES + side.numbers.size * _NUMBER_BYTES


def _padded(side: EncodedSide, chosen: Places, longest: Places) -> tuple[Ints32, npt.NDArray[np.float32]]:
    """Return the table rows of some examples and their shares, both (m, cells)."""
    segments = chosen[:, None] * side.slots + np.arange(side.slots)
    first = np.repeat(side.starts[segments], longest, axis=1)
    count = np.repeat(side.starts[segments + 1], longest, axis=1) - first
    cell = np.arange(longest.sum()) - np.repeat(_first_cells(longest), longest)
    # Cells past the end of a bag repeat its last row, with a share of 0: any row of the slot would do.
    rows = side.rows[first + np.minimum(cell, count - 1)]
    return rows, np.where(cell < count, 1 / count, 0).astype(np.float32)
