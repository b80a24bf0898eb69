"""An ensemble as one tower: its members' tables side by side, and their layers as the blocks of larger ones."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stream_scorer.training.towers.batches import Batch
from stream_scorer.training.towers.tower_module import TowerModule


@torch.no_grad()
def side_by_side(members: Sequence[TowerModule], seen: Batch) -> TowerModule:
    """Return one tower whose outputs are those of the members, concatenated; the members must be settled.

    Where members are tables of vectors, each is normalised, so that the cosine is the mean of theirs. Members with
    layers are normalised together: the dot product is the sum of theirs, and a member weighs as much as its outputs are
    long. So each is divided by the length of its outputs, on average over `seen`.
    """
    first = members[0]
    if first.direct:
        return TowerModule.looking_up(first.spec, torch.cat([F.normalize(one.table, dim=1) for one in members], dim=1))
    each = [[cast("nn.Linear", layer) for layer in member.layers] for member in members]
    made = TowerModule(
        first.spec,
        width=len(members) * first.table.shape[1],
        hidden=tuple(len(members) * layer.out_features for layer in each[0][:-1]),
        dim=len(members) * first.bias.shape[0],
        rectified=first.rectified,
    )
    made.table.copy_(torch.cat([member.table for member in members], dim=1))
    for number, (layer, parts) in enumerate(zip(made.layers, zip(*each, strict=True), strict=True)):
        linear, weights = cast("nn.Linear", layer), [part.weight for part in parts]
        blocks: Tensor = torch.block_diag(*weights) if number else _reading(weights, first)  # type: ignore[no-untyped-call]
        linear.weight.copy_(blocks)
        linear.bias.copy_(torch.cat([part.bias for part in parts]))
    shrink = torch.repeat_interleave(
        1 / torch.stack([_length(member, seen) for member in members]), first.bias.shape[0]
    )
    last = cast("nn.Linear", made.layers[-1])
    last.weight.mul_(shrink[:, None])
    last.bias.mul_(shrink)
    return made


def _length(member: TowerModule, seen: Batch) -> Tensor:
    """Return the root mean square length of a member's outputs; a dead member's is that of nearly nothing."""
    return member.outputs(seen).square().sum(dim=1).mean().sqrt().clamp(min=1e-12)


def _reading(weights: Sequence[Tensor], member: TowerModule) -> Tensor:
    """Return the weights of the first layer, which reads each slot's embeddings of all members, and then the numbers.

    All members read the same numbers, but each its own embeddings: those of the others have weight 0.
    """
    slots, width, units = member.slots, member.table.shape[1], len(weights[0])
    blocks = []
    for number, weight in enumerate(weights):
        own = torch.zeros(units, slots, len(weights), width)
        own[:, :, number] = weight[:, : slots * width].reshape(units, slots, width)
        blocks.append(torch.cat([own.reshape(units, -1), weight[:, slots * width :]], dim=1))
    return torch.cat(blocks)
