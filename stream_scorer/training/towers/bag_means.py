"""The mean of each bag of table rows, with a faster gradient than torch's own on a CPU."""

from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F


class BagMeans(torch.autograd.Function):
    """See `bag_means`."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, rows: Tensor, starts: Tensor) -> Tensor:
        """Return the means (bags, width)."""
        ctx.save_for_backward(rows, starts)
        ctx.shape = table.shape
        if len(starts) == len(rows):  # every bag is a single row, and its own mean
            return table.index_select(0, rows)
        return F.embedding_bag(rows, table, starts, mode="mean")

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        """Return the gradient of the table; torch's own sorts all rows for it, which takes five times as long."""
        (gradient,), (rows, starts) = gradients, ctx.saved_tensors
        if len(starts) != len(rows):
            counts = torch.diff(starts, append=starts.new_tensor([len(rows)]))
            bag_of = torch.repeat_interleave(counts, output_size=len(rows))
            gradient = (gradient / counts[:, None]).index_select(0, bag_of)
        return gradient.new_zeros(ctx.shape).index_add_(0, rows, gradient), None, None


def bag_means(table: Tensor, rows: Tensor, starts: Tensor) -> Tensor:
    """Return the mean of the table's rows in each bag (bags, width); bag i begins at `starts[i]` of `rows`.

    No bag may be empty. Only on a CPU: there sums of gradients have one order, and so one result.
    """
    return cast("Tensor", BagMeans.apply(table, rows, starts))
