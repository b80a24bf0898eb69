"""Each thing that the gate refuses, by the command: which it is, by how much, and that nothing was published."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from stream_scorer.adapters.files.model_files import write_model
from stream_scorer.core.messages import Offer
from stream_scorer.core.towers.model import Model
from stream_scorer.core.towers.tower import Layer, Tower, digest_towers
from stream_scorer.core.wire.codec import encode
from stream_scorer.simulation.world import World
from tests.commands import Run
from tests.integration.test_publish_command import run
from tests.integration.test_publish_vectors import lines
from tests.release_samples import DIM, model, offer

__all__ = ["run"]

OFFERS = [offer(number) for number in range(7)]
WORSE = {"held_out_auc": {"within_customer": 0.61, "customers": 500}, "popularity_auc": {"within_customer": 0.64}}


def with_items(**layer: Any) -> Model:
    """Return a model whose item tower has another last layer."""
    made = model(1)
    whole = {"weight": made.item_tower.layers[0].weight, "bias": made.item_tower.layers[0].bias, **layer}
    item = replace(made.item_tower, layers=(Layer(**whole),))
    return Model(digest_towers(made.user_tower, item), made.user_tower, item, {})


def with_facts(**facts: Any) -> Model:
    return replace(model(1), facts=facts)


def golden(tower: Tower, *, off: float) -> dict[str, Any]:
    features = [{"price": 2.0, "colour": "red"}]
    outputs = tower.outputs(tower.spec.encode(features, [""])) + off
    return {"features": features, "ids": [""], "outputs": outputs.tolist()}


REFUSED = {
    "wrong dimensions": (
        with_items(weight=np.ones((3, 4)), bias=np.ones(3)),
        "the user tower gives 4 numbers, the item tower 3",
    ),
    "not finite": (with_items(bias=np.full(DIM, np.nan)), "4 of 4 numbers of layers.0.bias are not finite"),
    "zero": (
        with_items(weight=np.zeros((DIM, 4)), bias=np.zeros(DIM)),
        "7 of 7 offer vectors are zero: offer-0, offer-1, offer-2, …",
    ),
    "collapsed": (
        with_items(weight=np.full((DIM, 4), 1e-9), bias=np.ones(DIM)),
        "their mean cosine with their mean is 1.000000, at most",
    ),
    "parity with training": (
        with_facts(parity_max_difference=0.003),
        "differ by up to 0.003 from those that were trained, at most 1e-05",
    ),
    "parity with the engine": (
        with_facts(golden={"item_tower": golden(model(1).item_tower, off=1e-6)}),
        "the item_tower differs by up to 1e-06 on golden rows from the engine's own, at most 1e-09",
    ),
    "worse than popularity": (
        with_facts(**WORSE),
        "held-out AUC within customer is 0.6100, not above popularity's 0.6400 (500 customers)",
    ),
}


def words_of(folder: Path, made: Model, offers: list[Offer] = OFFERS) -> list[str]:
    write_model(folder / "model", made)
    (folder / "offers.jsonl").write_bytes(b"\n".join(map(msgspec.json.encode, offers)))
    return ["--model", str(folder / "model"), "--offers", str(folder / "offers.jsonl")]


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_carries_its_figure(run: Run, tmp_path: Path, name: str) -> None:
    made, sentence = REFUSED[name]
    refused = run(*words_of(tmp_path, made))
    assert (refused.returncode, refused.stdout) == (1, "")
    assert sentence in refused.stderr


def test_offers_without_vectors_are_named(run: Run, tmp_path: Path) -> None:
    words = words_of(tmp_path, model(1))[2:]
    vectors = lines(
        tmp_path / "vectors.jsonl", [{"offer_id": f"offer-{number}", "vector": [1.0, number]} for number in range(5)]
    )
    refused = run(*words, "--offer-vectors", vectors)
    assert "2 of 7 offer vectors are zero: offer-5, offer-6" in refused.stderr


def test_a_cut_off_catalog_is_refused(run: Run, tmp_path: Path) -> None:
    assert run(*words_of(tmp_path, model(1))).returncode == 0
    refused = run(*words_of(tmp_path, model(1), OFFERS[:2]))
    assert (
        "5 of 7 offers that are served now are missing, more than half: offer-2, offer-3, offer-4, …" in refused.stderr
    )


def test_labels_judge_a_model_of_any_engine(run: Run, tmp_path: Path) -> None:
    world = World.of(3, customers=150, offers=40, popularity_rate=0.5)
    log = world.log(np.random.default_rng(1), 600, start_ms=0, random_share=1.0)
    labels = tmp_path / "labels.jsonl"
    labels.write_bytes(b"".join(encode(example) + b"\n" for example in log))
    words = words_of(tmp_path, model(1), world.offers())[2:]
    ids = [one.offer_id for one in world.offers()]
    for name, vectors in {"good": world.appeals, "turned": -world.appeals}.items():
        np.savez(tmp_path / f"{name}.npz", ids=np.array(ids), vectors=vectors)
    np.savez(
        tmp_path / "customers.npz", ids=np.array([f"customer-{row:06d}" for row in range(150)]), vectors=world.tastes
    )
    words += ["--customer-vectors", str(tmp_path / "customers.npz"), "--labels", str(labels), "--json"]
    refused = run(*words, "--offer-vectors", str(tmp_path / "turned.npz"))
    assert "held-out AUC within customer is" in refused.stderr
    (published,) = json.loads(run(*words, "--offer-vectors", str(tmp_path / "good.npz")).stdout)
    assert (published["current"], published["forced"]) == (True, [])
