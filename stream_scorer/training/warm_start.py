"""Starts a training from an earlier model: table rows, layers and head carry over where the inputs are the same."""

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from stream_scorer.core.towers.spec_extension import carried_columns, carried_table
from stream_scorer.core.towers.tower import Tower
from stream_scorer.errors import OtherShape
from stream_scorer.training.objective import AcceptanceHead
from stream_scorer.training.towers.tower_module import TowerModule


def shape_of(earlier: Tower) -> dict[str, Any]:
    """Return the training options by which a tower gets the shape of the earlier one."""
    return {
        "dim": earlier.dim,
        "width": earlier.table.shape[1],
        "hidden": tuple(layer.units for layer in earlier.layers[:-1]),
    }


def carry_tower(earlier: Tower, module: TowerModule) -> None:
    """Copy what the earlier tower has learned into the module.

    Raises OtherShape when their widths or layers differ, or when the earlier tower does not concatenate its inputs.
    """
    units = [layer.units for layer in earlier.layers] or [earlier.dim]
    wanted = [cast("nn.Linear", layer).out_features for layer in module.layers] or [module.table.shape[1]]
    width = earlier.table.shape[1]
    if units != wanted or width != module.table.shape[1] or earlier.combine != "concat":
        shape = f"layers of {wanted} over width {module.table.shape[1]}"
        raise OtherShape(
            f"a training goes on from towers of its own shape, {shape}; got layers of {units} over width {width}"
        )
    with torch.no_grad():
        module.table.copy_(torch.from_numpy(carried_table(earlier, module.spec, module.table.detach().numpy())))
        for number, (layer, before) in enumerate(zip(module.layers, earlier.layers, strict=True)):
            linear = cast("nn.Linear", layer)
            linear.bias.copy_(torch.from_numpy(before.bias))
            weight = before.weight
            if not number:  # only the first layer reads inputs, and a new spec may have added or reordered them
                new, old = carried_columns(earlier.spec, module.spec, width)
                weight = linear.weight.detach().numpy().astype(np.float64) * 0
                weight[:, new] = before.weight[:, old]
            linear.weight.copy_(torch.from_numpy(weight))


def carry_head(facts: Mapping[str, object], head: AcceptanceHead) -> None:
    """Begin at the scale and bias that the earlier model's facts state, where they do."""
    scale, bias = facts.get("scale"), facts.get("bias")
    if isinstance(scale, float) and isinstance(bias, float) and scale > 0:
        with torch.no_grad():
            head.log_scale.fill_(float(np.log(scale)))
            head.bias.fill_(bias)
