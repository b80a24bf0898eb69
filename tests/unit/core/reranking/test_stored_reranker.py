"""Re-rankers come back from what was stored, or are refused in a sentence before they score anything."""

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from stream_scorer.core.reranking.stored_reranker import reranker_from
from stream_scorer.core.towers.model import digest_model
from stream_scorer.core.towers.reranker import Reranker
from stream_scorer.core.towers.tower import digest_towers
from stream_scorer.errors import BadModel
from tests import reranking_samples as samples
from tests.release_samples import tower

KINDS: list[Reranker] = [samples.network(), samples.trees()]


def parts(reranker: Reranker) -> tuple[dict[str, Any], dict[str, Any]]:
    structure: dict[str, Any] = json.loads(json.dumps(reranker.structure()))
    return structure, {name: array.copy() for name, array in reranker.tensors().items()}


def counting() -> Reranker:
    inputs = samples.pair_inputs()
    return replace(samples.network(), inputs=replace(inputs, matches=(replace(inputs.matches[0], counted=True),)))


@pytest.mark.parametrize("reranker", [*KINDS, counting()])
def test_a_reranker_comes_back_as_it_was(reranker: Reranker) -> None:
    again = reranker_from(*parts(reranker))
    pairs = samples.shortlisted()
    before, after = (
        each.scores(
            samples.CUSTOMER_ROWS, samples.CUSTOMER_IDS, pairs, each.offer_side(samples.OFFER_ROWS, samples.OFFER_IDS)
        )
        for each in (reranker, again)
    )
    assert before.tobytes() == after.tobytes()
    assert json.dumps(again.structure()) == json.dumps(reranker.structure())


@pytest.mark.parametrize("reranker", KINDS)
def test_every_part_is_needed(reranker: Reranker) -> None:
    for name in reranker.tensors():
        structure, tensors = parts(reranker)
        del tensors[name]
        with pytest.raises(BadModel, match="lacks"):
            reranker_from(structure, tensors)
    for name in reranker.structure():
        structure, tensors = parts(reranker)
        del structure[name]
        with pytest.raises(BadModel, match="lacks"):
            reranker_from(structure, tensors)


@pytest.mark.parametrize("reranker", KINDS)
@pytest.mark.parametrize("damaged", ["text", "int32", "empty", "long", "huge", "not finite"])
def test_damaged_arrays_are_refused(reranker: Reranker, damaged: str) -> None:
    for name, array in reranker.tensors().items():
        structure, tensors = parts(reranker)
        tensors[name] = DAMAGES[damaged](array)
        if len(array) and (damaged, name) not in FIT:
            with pytest.raises(BadModel):
                reranker_from(structure, tensors)


# trees without conditions have one leaf each, and a threshold may be any number
FIT = {("long", "leaves"), ("huge", "threshold")}
DAMAGES: dict[str, Callable[[Any], Any]] = {
    "text": lambda array: array.astype(str),
    "int32": lambda array: array.astype(np.int32),
    "empty": lambda array: array[:0],
    "long": lambda array: np.concatenate([array, array]),
    "huge": lambda array: np.full(array.shape, 1e30),
    "not finite": lambda array: np.full(array.shape, np.nan),
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kind", "forest"),
        ("kind", None),
        ("crossed", 1),
        ("crossed", "two"),
        ("activations", ["relu", "exp"]),
        ("activations", []),
        ("inputs", []),
        ("customer_half", samples.network().offer_half.structure()),
    ],
)
def test_damaged_structures_are_refused(name: str, value: object) -> None:
    structure, tensors = parts(samples.network())
    with pytest.raises(BadModel):
        reranker_from({**structure, name: value}, tensors)


@pytest.mark.parametrize("reranker", KINDS)
@pytest.mark.parametrize(
    ("place", "damage"),
    [
        (0, {"buckets": 1, "hashes": 0}),
        (0, {"hashes": 10**9}),
        (1, {"reading": "foo"}),
        (1, {"knots": [1.0, 1.0, 0.0]}),
    ],
)
def test_damaged_inputs_are_refused(reranker: Reranker, place: int, damage: dict[str, object]) -> None:
    structure, tensors = parts(reranker)
    structure["inputs"]["offers"]["spec"]["inputs"][place].update(damage)
    if "offer_half" in structure:
        structure["offer_half"]["spec"] = structure["inputs"]["offers"]["spec"]
    with pytest.raises(BadModel):
        reranker_from(structure, tensors)


def test_the_reranker_is_in_the_model_id() -> None:
    user, item = tower("customer", 1), tower("offer", 2)
    ids = {digest_model(user, item, each) for each in (None, *KINDS, copy.deepcopy(KINDS[0]))}
    assert len(ids) == 3
    assert digest_model(user, item, None) == digest_towers(user, item)
