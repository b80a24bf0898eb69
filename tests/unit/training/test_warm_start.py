"""A training that goes on from an earlier model."""

from dataclasses import replace

import numpy as np
import pytest

from stream_scorer.core.datasets.chunks import Views
from stream_scorer.core.towers.model import Model
from stream_scorer.errors import UsageError
from stream_scorer.services.learning.trainer import read_lesson, train_model
from stream_scorer.training.joint import fit
from stream_scorer.training.options import TrainOptions
from stream_scorer.training.warm_start import carry_tower
from tests.example_samples import Chunks, snacks, tastes_meet

QUICK = TrainOptions(
    dim=8,
    width=4,
    hidden=(6,),
    epochs=8,
    batch_rows=256,
    learning_rate=0.02,
    prior=0.5,
    customer_id="on",
    offer_id="on",
)


@pytest.fixture(scope="module")
def earlier() -> Model:
    return train_model(tastes_meet(), snacks(), QUICK).model


def offer_vectors(model: Model) -> np.ndarray:
    return model.item_tower.embed(
        [offer.features for offer in snacks()], [offer.offer_id for offer in snacks()]
    ).vectors


def test_warm_start_keeps_vectors_near_the_earlier(earlier: Model) -> None:
    options = replace(QUICK, seed=7, epochs=2, learning_rate=0.002)
    warm = train_model(tastes_meet(seed=3), snacks(), options, earlier=earlier).model
    cold = train_model(tastes_meet(seed=3), snacks(), replace(QUICK, seed=7)).model
    before = offer_vectors(earlier)
    assert (offer_vectors(warm) * before).sum(axis=1).mean() > 0.95
    assert abs((offer_vectors(cold) * before).sum(axis=1).mean()) < 0.8
    assert warm.facts["earlier_model_id"] == earlier.model_id


def test_it_begins_where_the_earlier_one_ended(earlier: Model) -> None:
    lesson = read_lesson(tastes_meet(), snacks(), QUICK, earlier=earlier)
    still = fit(lesson, replace(QUICK, learning_rate=1e-7, epochs=1, prior=0.0), report=lambda epoch: None)
    assert np.allclose(still.user.export().table, earlier.user_tower.table, atol=1e-5)
    assert float(still.head.log_scale.exp().detach()) == pytest.approx(earlier.facts["scale"], rel=1e-4)


def test_new_customers_and_features_find_their_places(earlier: Model) -> None:
    part = tastes_meet(600, seed=3).parts[0]
    named = [f"new-{row}" if row % 2 else f"c-{row}" for row in range(60)]
    features = [{**known, "mood": "good" if row % 5 else "bad"} for row, known in enumerate(part.customers.features)]
    source = Chunks((replace(part, customers=Views(named, features)),))
    model = train_model(source, snacks(), replace(QUICK, epochs=1), earlier=earlier).model
    names = [one.name for one in model.user_tower.spec.inputs]
    assert names == ["customer_id", "age", "likes", "mood"]
    before, after = earlier.user_tower.spec.slots[0].vocabulary, model.user_tower.spec.slots[0].vocabulary
    assert after[: len(before)] == before
    assert all(str(name).startswith("new-") for name in after[len(before) :])


def test_the_shape_is_the_earlier_ones(earlier: Model) -> None:
    other = replace(QUICK, dim=16, width=2, hidden=(), epochs=1)
    assert train_model(tastes_meet(600), snacks(), other, earlier=earlier).model.user_tower.dim == 8


def test_towers_of_another_shape_are_refused(earlier: Model) -> None:
    lesson = read_lesson(tastes_meet(600), snacks(), QUICK, earlier=earlier)
    module = fit(replace(lesson, earlier=None), replace(QUICK, dim=9, epochs=1), report=lambda epoch: None).user
    with pytest.raises(UsageError, match=r"layers of \[6, 9\] over width 4; got layers of \[6, 8\]"):
        carry_tower(earlier.user_tower, module)
