"""From examples to a model, and the facts about it."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from stream_scorer.core.datasets.chunks import Views
from stream_scorer.core.messages import Offer
from stream_scorer.errors import BadModel, UsageError
from stream_scorer.services.learning import trainer
from stream_scorer.services.learning.retrainer import options_like
from stream_scorer.services.learning.trainer import read_lesson, refuse_worse_alike, train_model
from stream_scorer.training.lesson import Epoch
from stream_scorer.training.options import TrainOptions
from tests.example_samples import Chunks, chunk, snacks, tastes_meet

QUICK = TrainOptions(dim=8, width=4, epochs=8, batch_rows=256, learning_rate=0.02)


def input_names(source: Chunks, offers: list[Offer], options: TrainOptions = QUICK) -> tuple[list[str], list[str]]:
    lesson = read_lesson(source, offers, options)
    return [one.name for one in lesson.user_spec.inputs], [one.name for one in lesson.item_spec.inputs]


def test_offers_of_the_customers_taste_rank_first() -> None:
    model = train_model(tastes_meet(), snacks(), QUICK).model
    customer = model.user_tower.embed([{"likes": "salty", "age": 20.0}], ["somebody new"]).vectors
    offers = model.item_tower.embed(
        [offer.features for offer in snacks()], [offer.offer_id for offer in snacks()]
    ).vectors
    best = np.argsort(-(customer @ offers.T)[0])[:4]
    assert {snacks()[place].features["taste"] for place in best} == {"salty"}


def test_facts_state_the_training_and_quality() -> None:
    facts: dict[str, Any] = train_model(tastes_meet(), snacks(), QUICK).model.facts
    assert (facts["rows"], facts["customers"], facts["catalog_offers"], facts["objective"]) == (3_000, 60, 12, "shown")
    assert facts["held_out_auc"]["within_customer"] > 0.8 > facts["popularity_auc"]["within_customer"]


def test_every_epoch_is_reported() -> None:
    reported: list[Epoch] = []
    trained = train_model(tastes_meet(500), snacks(), replace(QUICK, epochs=2), report=reported.append)
    assert [epoch.number for epoch in reported] == [1, 2]
    assert trained.epochs == tuple(reported)


def test_frequent_or_lone_ids_are_inputs() -> None:
    assert input_names(tastes_meet(9_000), snacks()) == (
        ["customer_id", "age", "likes"],
        ["offer_id", "price", "taste"],
    )
    assert input_names(tastes_meet(3_000), snacks()) == (["age", "likes"], ["offer_id", "price", "taste"])
    assert input_names(tastes_meet(200), snacks()) == (["age", "likes"], ["price", "taste"])
    bare = Chunks((chunk(Views(["a", "b"], [{}, {}]), Views(["x", "y"], [{}, {}]), [(0, 0, 1), (1, 1, 1)] * 5),))
    assert input_names(bare, [Offer(offer_id="x", features={})]) == (["customer_id"], ["offer_id"])


def test_few_repeats_make_customer_ids_inputs() -> None:
    part = tastes_meet(300, only_accepted=True).parts[0]
    again = Chunks((part,) * 6)  # some ten acceptances a customer, nearly all of them repeats
    assert input_names(again, snacks())[0] == ["customer_id", "age", "likes"]
    asked = replace(QUICK, accepted_before=5)
    assert input_names(again, snacks(), asked)[0] == ["accepted_before", "age", "likes"]  # in place of the id


def test_few_repeats_make_offer_ids_inputs() -> None:
    pair = chunk(Views(["a", "b"], [{}, {}]), Views(["x", "y"], [{"k": 1.0}, {"k": 2.0}]), [(0, 0, 1), (1, 1, 1)])
    catalog = [Offer(offer_id=name, features={"k": float(at)}) for at, name in enumerate("xyzabcdefg")]
    assert input_names(Chunks((pair,) * 8), catalog)[1] == ["offer_id", "k"]
    assert input_names(Chunks((pair,)), catalog)[1] == ["k"]


def test_id_switches_decide_over_the_log() -> None:
    options = replace(QUICK, customer_id="off", offer_id="off")
    assert input_names(tastes_meet(9_000), snacks(), options) == (["age", "likes"], ["price", "taste"])


def test_nothing_to_learn_from_is_refused() -> None:
    with pytest.raises(UsageError, match="no labelled examples to train on"):
        train_model(Chunks(()), snacks(), QUICK)


def test_a_feature_of_mixed_kinds_is_refused() -> None:
    customers = Views(["a", "b"], [{"age": 1.0}, {"age": "old"}])
    with pytest.raises(UsageError, match="feature 'age' of customers must be of one kind"):
        train_model(
            Chunks((chunk(customers, Views(["x"], [{}]), [(0, 0, 1), (1, 0, 0)]),)),
            [Offer(offer_id="x", features={})],
            QUICK,
        )


def test_accepted_before_becomes_an_input() -> None:
    asked = replace(QUICK, accepted_before=5)
    assert input_names(tastes_meet(200), snacks(), asked)[0] == ["accepted_before", "age", "likes"]


@pytest.mark.parametrize("habits", [True, False])
def test_rare_offers_have_rows_where_customers_repeat(habits: bool) -> None:
    # each customer takes one offer four times, or four offers once each; only the first takes the last snack
    rows = [(who, (who if habits else who + turn) % 11, 1) for turn in range(4) for who in range(60)]
    customers = Views([f"c-{who}" for who in range(60)], [{"age": float(who)} for who in range(60)])
    offers = Views([one.offer_id for one in snacks()], [one.features for one in snacks()])
    made = Chunks((chunk(customers, offers, [*rows, (0, 11, 1)]),))
    ids = read_lesson(made, snacks(), replace(QUICK, offer_id="on")).item_spec.slots[0]
    assert ids.name == "offer_id"
    assert ("snack-11" in ids.vocabulary) == habits


def test_going_on_keeps_reading_accepted_before() -> None:
    earlier = train_model(tastes_meet(400), snacks(), replace(QUICK, epochs=1, accepted_before=5)).model
    again = read_lesson(tastes_meet(400), snacks(), QUICK, earlier=earlier)
    assert "accepted_before" in again.user_spec.feature_names
    assert "400" not in " ".join(again.survey.cautions)  # a customer's first request has nothing before it
    assert any("served requests have to state it" in caution for caution in again.survey.cautions)


def test_warm_starts_end_in_the_same_ensemble() -> None:
    plain = TrainOptions(epochs=1)
    model = train_model(tastes_meet(400), snacks(), replace(plain, members=2)).model
    for _ in range(2):
        again = options_like(model.facts, seed=7, threads=1)
        assert (again.members, again.dim) == (2, 32)
        model = train_model(tastes_meet(400), snacks(), plain, earlier=model).model
        assert model.user_tower.dim == 64


def test_logs_without_times_have_nothing_before() -> None:
    part = tastes_meet(200).parts[0]
    timeless = Chunks((replace(part, request_time_ms=np.zeros(len(part), np.int64)),))
    with pytest.raises(UsageError, match="no label has an earlier acceptance"):
        read_lesson(timeless, snacks(), replace(QUICK, accepted_before=5))


def test_one_order_needs_a_good_judgement() -> None:
    refuse_worse_alike({"order_agreement": 1.0, "judged": {"better": []}})
    refuse_worse_alike({"order_agreement": 0.9, "judged": {"better": ["popularity"]}})
    refuse_worse_alike({"order_agreement": 1.0, "judged": None})
    with pytest.raises(BadModel, match="ranks alike for all customers, and popularity ranks better; more rows"):
        refuse_worse_alike({"order_agreement": 1.0, "judged": {"better": ["popularity"]}})


def lone_appeal() -> Chunks:
    return Chunks((replace(tastes_meet(400).parts[0], customers=Views(["everyone"] * 60, [{}] * 60)),))


def test_lone_appeal_makes_a_model() -> None:
    model = train_model(lone_appeal(), snacks(), replace(QUICK, epochs=1)).model
    assert model.facts["order_agreement"] == pytest.approx(1.0)


def test_lone_appeal_below_popularity_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer, "held_out_facts", lambda *_: {"judged": {"better": ["popularity"]}})
    with pytest.raises(BadModel, match="popularity ranks better"):
        train_model(lone_appeal(), snacks(), replace(QUICK, epochs=1))


def test_facts_name_what_ranks_surely_better() -> None:
    untaught = replace(QUICK, epochs=1, learning_rate=1e-7, held_out=0.3)
    judged: Any = train_model(tastes_meet(1_500), snacks(), untaught).model.facts["judged"]
    assert "popularity by likes" in judged["better"]
    assert "a random order" not in judged["better"]
