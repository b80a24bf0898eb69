"""Rebuilds a re-ranker from its stored parts, and tries it, so that one that is returned can score."""

from collections.abc import Mapping
from typing import Any, get_args

import numpy as np

from stream_scorer.core.features.spec import Floats
from stream_scorer.core.reranking.network import NetworkReranker
from stream_scorer.core.reranking.pair_inputs import PairInputs
from stream_scorer.core.reranking.trees import Conditions, TreesReranker
from stream_scorer.core.towers.reranker import Arrays, Reranker, Shortlisted
from stream_scorer.core.towers.stored_towers import check_inputs, tower_from, trial_rows
from stream_scorer.core.towers.tower import Activation, Layer
from stream_scorer.errors import BadModel

UNITS_MAX = 4_096
LAYERS_MAX = 4
HALF_LAYERS_MAX = 2
# Encoded numbers are at most 3e38: with weights, units and layers up to these bounds no product overflows a double.
WEIGHT_MAX = 1e6

# what building or trying a re-ranker raises when its parts do not fit together: anybody may have written them
_UNFIT = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError, MemoryError)
_WHOLE = ("codes", "keys", "tree", "feature")  # the arrays of whole numbers, by the last part of their names


def reranker_from(structure: Mapping[str, Any], tensors: Arrays) -> Reranker:
    """Rebuild a re-ranker from `structure()` and `tensors()`.

    Raises BadModel for parts that make no re-ranker, and for one that does not give finite scores.
    """
    _check_arrays(tensors)
    try:
        reranker = _built(structure, tensors)
        for spec in (reranker.customer_spec, reranker.offer_spec):
            check_inputs(spec)
        _try(reranker)
    except KeyError as error:
        raise BadModel(f"the re-ranker lacks {error.args[0]!r}") from error
    except _UNFIT as error:
        raise BadModel(f"the re-ranker cannot be rebuilt: {error!r}") from error
    return reranker


def _built(structure: Mapping[str, Any], tensors: Arrays) -> Reranker:
    inputs = PairInputs.from_tensors(structure["inputs"], tensors)
    match structure["kind"]:
        case "network":
            return _network(inputs, structure, tensors)
        case "trees":
            conditions = Conditions(tensors["tree"], tensors["feature"], tensors["threshold"], tensors["mask"])
            return TreesReranker(inputs, conditions, _floats(tensors["leaves"]))
        case other:
            raise BadModel(f"a re-ranker must be a network or trees, got {other!r}")


def _network(inputs: PairInputs, structure: Mapping[str, Any], tensors: Arrays) -> NetworkReranker:
    mine, theirs = (
        tower_from(structure[name], {part.removeprefix(f"{name}."): tensors[part] for part in _of(tensors, name)})
        for name in ("customer_half", "offer_half")
    )
    if mine.spec != inputs.customers.spec or theirs.spec != inputs.offers.spec:
        raise BadModel("the halves of the network read other features than its crosses")
    layers = tuple(
        Layer(_floats(tensors[f"layers.{number}.weight"]), _floats(tensors[f"layers.{number}.bias"]), activation)
        for number, activation in enumerate(structure["activations"])
    )
    if len(layers) > LAYERS_MAX or max(len(mine.layers), len(theirs.layers)) > HALF_LAYERS_MAX:
        raise BadModel(f"a network may have {LAYERS_MAX} layers, and {HALF_LAYERS_MAX} in each half")
    widest = max(mine.dim, theirs.dim, *(layer.units for layer in layers))
    if widest > UNITS_MAX:
        raise BadModel(f"a layer of the network may have {UNITS_MAX} units, got {widest}")
    if wrong := [layer.activation for layer in layers if layer.activation not in get_args(Activation)]:
        raise BadModel(f"an activation must be one of {', '.join(get_args(Activation))}, got {wrong[0]!r}")
    return NetworkReranker(inputs, mine, theirs, _floats(tensors["pair"]), structure["crossed"], layers)


def _of(tensors: Arrays, name: str) -> list[str]:
    return [part for part in tensors if part.startswith(f"{name}.")]


def _check_arrays(tensors: Arrays) -> None:
    for name, array in tensors.items():
        last = name.rsplit(".", maxsplit=1)[-1]
        wanted = "int64" if last in _WHOLE else "uint16" if last == "mask" else "floating-point"
        if array.dtype.kind != "f" if wanted == "floating-point" else array.dtype != wanted:
            raise BadModel(f"{name} must hold {wanted} numbers, got {array.dtype}")
        if array.dtype.kind != "f":
            continue
        # "not <=" rather than ">": NaN must be refused, too
        if not np.abs(array).max(initial=0.0) <= (np.finfo(np.float64).max if last == "threshold" else WEIGHT_MAX):
            raise BadModel(f"the numbers of {name} must be finite and at most {WEIGHT_MAX:g}")


def _try(reranker: Reranker) -> None:
    """Score pairs of sides without features and with all, as first requests might. Raises BadModel for a bad score."""
    side = reranker.offer_side(*trial_rows(reranker.offer_spec))
    mine, theirs = np.divmod(np.arange(4), 2)
    pairs = Shortlisted(mine, theirs, np.ones(4), np.ones(4, np.int64))
    scores = reranker.scores(*trial_rows(reranker.customer_spec), pairs, side)
    if scores.shape != (4,) or not np.isfinite(scores).all():
        raise BadModel(f"the scores of four pairs must be finite numbers, got {scores}")


def _floats(array: "np.ndarray[Any, Any]") -> Floats:
    return np.asarray(array, np.float64)
