"""Reads a trained H2O model through its documented interface: names, domains, offsets, norms, weights and biases.

The model must have been trained with `export_weights_and_biases=True`. From 3.46.0.12 on H2O exports MOJOs in its
licensed edition only, and nothing here works around that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from stream_scorer.core.features.spec import Floats
from stream_scorer.core.towers.h2o_network import H2oCategory, H2oNetwork
from stream_scorer.errors import BadModel

_DROPOUT_DEFAULT = 0.5
_NOT_INPUTS = ("response_column", "weights_column", "offset_column", "fold_column")


def network_of(model: Any, *, version: str) -> H2oNetwork:
    """Read a trained `H2ODeepLearningEstimator`. Raises BadModel where its towers cannot be reproduced."""
    output, params = model._model_json["output"], model.actual_params  # noqa: SLF001  no public name tells the columns' order
    if params.get("autoencoder"):
        raise BadModel("the model is an autoencoder: it has learned nothing of what is accepted")
    left_out = {_column(params.get(name)) for name in _NOT_INPUTS}
    # H2O puts categories first, in its own order, and the weights' columns follow that order
    columns = [
        (name, levels) for name, levels in zip(output["names"], output["domains"], strict=True) if name not in left_out
    ]
    hidden = range(len(params["hidden"]))
    return H2oNetwork(
        categories=tuple(H2oCategory(name, tuple(levels)) for name, levels in columns if levels is not None),
        numbers=tuple(name for name, levels in columns if levels is None),
        offsets=tuple(int(one) for one in model.catoffsets()) or (0,),
        norm_mul=tuple(model.normmul() or ()),
        norm_sub=tuple(model.normsub() or ()),
        use_all_factor_levels=bool(params["use_all_factor_levels"]),
        activation=str(params["activation"]),
        dropout=tuple(params.get("hidden_dropout_ratios") or [_DROPOUT_DEFAULT] * len(hidden)),
        encoding=str(params["categorical_encoding"]),
        weights=tuple(_cells(model.weights(layer)) for layer in hidden),
        biases=tuple(_cells(model.biases(layer)).reshape(-1) for layer in hidden),
        version=version,
    )


def renamed(network: H2oNetwork, levels: Mapping[str, Mapping[str, str]]) -> H2oNetwork:
    """Replace the codes that H2O was given by the ids that they stand for; `levels` maps them for each column."""
    categories = tuple(
        replace(one, levels=tuple(levels[one.name][level] for level in one.levels)) if one.name in levels else one
        for one in network.categories
    )
    return replace(network, categories=categories)


def _column(parameter: Any) -> str | None:
    name = parameter["column_name"] if isinstance(parameter, Mapping) else parameter
    return None if name is None else str(name)


def _cells(frame: Any) -> Floats:
    """Read a frame of numbers as text, from which a float comes back exactly."""
    rows: Sequence[Sequence[str]] = frame.as_data_frame(use_pandas=False, header=False)
    return np.array([[float(cell) for cell in row] for row in rows], np.float64)
