"""Small networks as H2O would describe them, MOJOs of them, and its formula written out a number at a time."""

import math
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from stream_scorer.core.towers.h2o_network import H2oCategory, H2oNetwork

COLUMNS = ("customer_id", "colour", "price", "score", "accepted")
ACTIVATIONS = ("Rectifier", "Tanh", "Maxout", "RectifierWithDropout", "TanhWithDropout", "MaxoutWithDropout")
ID = "customer_id"

ROWS: list[tuple[dict[str, Any], str]] = [
    ({"colour": "red", "price": 3.0, "score": 0.5}, "ann"),
    ({"colour": "blue", "price": -1.0, "score": 0.0}, "bob"),
    ({"colour": None, "price": None, "score": 0.25}, "cat"),
    ({"colour": "unseen", "price": 2.0, "score": None}, "unseen"),
    ({}, "ann"),
]


def network(
    *, activation: str = "Rectifier", use_all: bool = True, standardised: bool = True, units: int = 3, seed: int = 0
) -> H2oNetwork:
    """Draw a network of two hidden layers on an id, a colour and two numbers."""
    rng = np.random.default_rng(seed)
    spare = 1 if use_all else 0
    offsets = (0, 3 + spare, 3 + spare + 2 + spare)
    rows = units * 2 if activation.startswith("Maxout") else units
    return H2oNetwork(
        categories=(H2oCategory(ID, ("ann", "bob", "cat")), H2oCategory("colour", ("blue", "red"))),
        numbers=("price", "score"),
        offsets=offsets,
        norm_mul=(0.5, 4.0) if standardised else (),
        norm_sub=(2.0, 0.25) if standardised else (),
        use_all_factor_levels=use_all,
        activation=activation,
        dropout=(0.3, 0.1),
        encoding="OneHotInternal",
        weights=(rng.normal(size=(rows, offsets[-1] + 2)), rng.normal(size=(rows, units))),
        biases=(rng.normal(size=rows), rng.normal(size=rows)),
        version="3.46.0.12",
    )


def dead(like: H2oNetwork) -> H2oNetwork:
    """Return a network whose rectifiers never open."""
    return replace(
        like, weights=tuple(-np.abs(one) * 0 for one in like.weights), biases=tuple(one * 0 - 1 for one in like.biases)
    )


def deep_features(net: H2oNetwork, features: Mapping[str, Any], identity: str, *, layer: int = 0) -> list[float]:
    """Return what H2O's formula gives for one row."""
    hidden = _encoded(net, features, identity)
    for weight, bias, ratio in list(zip(net.weights, net.biases, net.dropout, strict=True))[: layer + 1]:
        kept = 1 - ratio if net.activation.endswith("WithDropout") else 1.0
        hidden = [kept * one for one in _activated(net.activation, weight.reshape(-1).tolist(), bias.tolist(), hidden)]
    return hidden


def _encoded(net: H2oNetwork, features: Mapping[str, Any], identity: str) -> list[float]:
    x = [0.0] * (net.offsets[-1] + len(net.numbers))
    for place, category in enumerate(net.categories):
        value = identity if category.name == ID else features.get(category.name)
        if value not in category.levels:
            x[net.offsets[place + 1] - 1] = 1.0
        elif net.use_all_factor_levels:
            x[net.offsets[place] + category.levels.index(value)] = 1.0
        elif category.levels.index(value) > 0:
            x[net.offsets[place] + category.levels.index(value) - 1] = 1.0
    for place, name in enumerate(net.numbers):
        value = features.get(name)
        if value is not None:
            x[net.offsets[-1] + place] = (value - net.norm_sub[place]) * net.norm_mul[place] if net.norm_mul else value
    return x


def _activated(activation: str, flat: list[float], bias: list[float], x: list[float]) -> list[float]:
    """`flat` is the weights as H2O lists them; those of a maxout unit's two channels alternate."""
    width = len(x)
    if activation.startswith("Maxout"):
        sums = [
            [
                sum(flat[2 * (unit * width + k) + channel] * x[k] for k in range(width)) + bias[2 * unit + channel]
                for channel in (0, 1)
            ]
            for unit in range(len(bias) // 2)
        ]
        return [max(both) for both in sums]
    plain = [sum(flat[unit * width + k] * x[k] for k in range(width)) + bias[unit] for unit in range(len(bias))]
    if activation.startswith("Tanh"):
        return [1 - 2 / (1 + math.exp(2 * one)) for one in plain]
    return [max(one, 0.0) for one in plain]


def write_mojo(
    path: Path,
    net: H2oNetwork,
    changes: Mapping[str, str | None] | None = None,
    levels: Mapping[int, str] | None = None,
) -> Path:
    """Write what H2O 3.46 writes; a change to None leaves a line out."""
    info = {**_info(net), **(changes or {})}
    lines = [f"{name} = {value}" for name, value in info.items() if value is not None]
    domains = (
        {place: "\n".join(one.levels) + "\n" for place, one in enumerate(net.categories)}
        | dict(levels or {})
        | {4: "n\ny\n"}
    )
    counts = {place: text.count("\n") for place, text in domains.items()}
    with zipfile.ZipFile(path, "w") as archive:
        listed = [f"{place}: {count} d00{place}.txt" for place, count in counts.items()]
        archive.writestr(
            "model.ini", "\n".join(["[info]", *lines, "", "[columns]", *COLUMNS, "", "[domains]", *listed, ""])
        )
        for place, text in domains.items():
            archive.writestr(f"domains/d00{place}.txt", text)
    return path


def _info(net: H2oNetwork) -> dict[str, str]:
    units = [len(one) // (2 if net.activation.startswith("Maxout") else 1) for one in net.biases]
    layers = range(len(units))
    return {
        "h2o_version": net.version,
        "algo": "deeplearning",
        "category": "Binomial",
        "escape_domain_values": "true",
        "nums": str(len(net.numbers)),
        "cats": str(len(net.categories)),
        "cat_offsets": str(list(net.offsets)),
        "norm_mul": str(list(net.norm_mul) or None).replace("None", "null"),
        "norm_sub": str(list(net.norm_sub) or None).replace("None", "null"),
        "use_all_factor_levels": str(net.use_all_factor_levels).lower(),
        "activation": net.activation,
        "neural_network_sizes": str([net.weights[0].shape[1], *units, 2]),
        **{f"weight_layer{layer}": str(net.weights[layer].reshape(-1).tolist()) for layer in layers},
        **{f"bias_layer{layer}": str(net.biases[layer].tolist()) for layer in layers},
        "weight_layer2": "[0.0, 0.0]",
        "hidden_dropout_ratios": str([*net.dropout, 0.0]),
        "_genmodel_encoding": "AUTO",
    }
