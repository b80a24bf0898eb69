"""What a training takes in: features of every kind on both sides, weights of sampled negatives, and next to nothing."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from stream_scorer.core.datasets.chunks import Views
from stream_scorer.core.messages import Offer
from stream_scorer.core.towers.model import Model
from stream_scorer.services.learning.trainer import read_lesson, train_model
from stream_scorer.training.joint import fit
from stream_scorer.training.options import TrainOptions
from tests.example_samples import TASTES, Chunks, chunk, snacks, tastes_meet

QUICK = TrainOptions(
    dim=8, width=4, epochs=12, batch_rows=64, learning_rate=0.03, customer_id="off", offer_id="off", prior=1.0
)

KINDS: dict[str, Callable[[int], Any]] = {
    "number": float,
    "string": lambda group: ("tea", "coffee")[group],
    "bool": bool,
    "bag": lambda group: [("tea", "coffee")[group], "water"],
    "vector": lambda group: [1.0, 0.0, 0.5] if group else [0.0, 1.0, 0.5],
}


def groups_meet(of_customers: Callable[[int], Any], of_offers: Callable[[int], Any]) -> tuple[Chunks, list[Offer]]:
    """Make a world in which customers accept what is of their own group, which a single feature tells."""
    customers = Views([f"c-{row}" for row in range(20)], [{"x": of_customers(row % 2)} for row in range(20)])
    offers = [Offer(offer_id=f"o-{row}", features={"x": of_offers(row % 2)}) for row in range(10)]
    rows = [(customer, offer, int(customer % 2 == offer % 2)) for customer in range(20) for offer in range(10)] * 3
    return Chunks(
        (chunk(customers, Views([one.offer_id for one in offers], [one.features for one in offers]), rows),)
    ), offers


def scores(
    model: Model, features: dict[str, Any], offers: list[Offer]
) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]]":
    customer = model.user_tower.embed([features], ["nobody known"]).vectors
    items = model.item_tower.embed([offer.features for offer in offers], [offer.offer_id for offer in offers]).vectors
    return np.asarray((customer @ items.T)[0])


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_learned_on_both_sides(kind: str) -> None:
    source, offers = groups_meet(KINDS[kind], KINDS[kind])
    model = train_model(source, offers, QUICK).model
    for group in (0, 1):
        found = scores(model, {"x": KINDS[kind](group)}, offers)
        assert found[group::2].min() > found[1 - group :: 2].max()


def test_sampled_negatives_weigh_as_all_negatives() -> None:
    part = tastes_meet(1_500).parts[0]
    kept = (part.accepted == 1) | (np.random.default_rng(0).random(len(part)) < 0.2)
    rows = (
        "customer",
        "offer",
        "request",
        "accepted",
        "rank",
        "score",
        "propensity",
        "weight",
        "request_time_ms",
        "shown",
    )
    columns = {name: getattr(part, name)[kept] for name in rows}
    weighted = np.where(columns["accepted"] == 1, 1.0, 5.0)

    def odds_of_the_rest(source: Chunks) -> float:
        done = fit(read_lesson(source, snacks(), QUICK), replace(QUICK, epochs=4), report=lambda epoch: None)
        return float(done.head.bias.detach())

    everything, sampled = (
        odds_of_the_rest(Chunks((part,))),
        odds_of_the_rest(Chunks((replace(part, **{**columns, "weight": weighted}),))),
    )
    unweighted = odds_of_the_rest(Chunks((replace(part, **columns),)))
    assert sampled == pytest.approx(everything, abs=0.3)
    assert unweighted > everything + 0.5


def test_temperature_is_learned_from_its_given_start() -> None:
    options = replace(QUICK, temperature=1.0)
    done = fit(read_lesson(tastes_meet(500), snacks(), options), options, report=lambda epoch: None)
    assert float(done.head.log_scale.detach()) > math.log(1.2)


@pytest.mark.parametrize("times", ["all alike", "apart"])
def test_tiny_logs_still_embed_anybody(times: str) -> None:
    customers, offers = Views(["a", "b", "c"], [{}] * 3), Views(["x", "y"], [{}] * 2)
    part = chunk(customers, offers, [(0, 0, 1), (1, 1, 1), (2, 0, 1), (0, 1, 1)])
    part = replace(part, request_time_ms=np.zeros(4, np.int64)) if times == "all alike" else part
    catalog = [Offer(offer_id=name, features={}) for name in ("x", "y", "new")]
    model = train_model(Chunks((part,)), catalog, TrainOptions(epochs=3)).model
    found = scores(model, {}, catalog)
    assert np.isfinite(found).all()
    assert np.allclose(np.linalg.norm(model.user_tower.embed([{}] * 2, ["a", "never met"]).vectors, axis=1), 1.0)


def test_unaccepted_offers_are_ranked_by_features() -> None:
    source = tastes_meet(only_accepted=True)
    part = source.parts[0]
    new = [Offer(offer_id=f"new-{taste}", features={"taste": taste, "price": 5.0}) for taste in TASTES]
    options = replace(QUICK, customer_id="on", offer_id="on", objective="catalog")
    model = train_model(Chunks((part,)), [*snacks(), *new], options).model
    for taste in range(3):
        customer = model.user_tower.embed([part.customers.features[taste]], [part.customers.ids[taste]]).vectors
        items = model.item_tower.embed([one.features for one in new], [one.offer_id for one in new]).vectors
        assert int(np.argmax(customer @ items.T)) == taste


def test_new_offers_of_right_taste_come_first() -> None:
    part = tastes_meet(only_accepted=True).parts[0]
    new = Offer(offer_id="new", features={"taste": "sweet", "price": 5.0})
    options = replace(QUICK, customer_id="on", offer_id="on", objective="catalog")
    model = train_model(Chunks((part,)), [*snacks(), new], options).model
    customer = model.user_tower.embed([part.customers.features[0]], [part.customers.ids[0]]).vectors
    offers = [new, *(one for one in snacks() if one.features["taste"] != "sweet")]
    items = model.item_tower.embed([one.features for one in offers], [one.offer_id for one in offers]).vectors
    assert int(np.argmax(customer @ items.T)) == 0
