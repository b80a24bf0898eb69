"""Figures of a model on examples: what is judged, what was seen, and that the better model is told from the worse."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from stream_scorer.core.datasets.chunks import Views
from stream_scorer.core.evaluation.figures import JudgedSpan
from stream_scorer.core.evaluation.judging import judge
from stream_scorer.core.evaluation.policies import ModelPolicy
from stream_scorer.core.towers.model import Model
from stream_scorer.errors import UsageError
from stream_scorer.services.learning.evaluator import (
    EvaluateOptions,
    OffPolicyOptions,
    evaluate_model,
    evaluate_table,
    quality_facts,
)
from stream_scorer.services.learning.trainer import train_model
from stream_scorer.training.options import TrainOptions
from tests.example_samples import Chunks, snacks, tastes_meet
from tests.reranking_samples import network

OPTIONS = EvaluateOptions(k=4, held_out=0.2, seed=0, off_policy=OffPolicyOptions(ModelPolicy(), 100.0, 1e9))


@pytest.fixture(scope="module")
def model() -> Model:
    options = TrainOptions(dim=8, width=4, epochs=8, batch_rows=256, learning_rate=0.02)
    return train_model(tastes_meet(), snacks(), options).model


def report_of(
    model: Model, labels: Chunks, seen: Chunks | None = None, options: EvaluateOptions = OPTIONS
) -> dict[str, Any]:
    return evaluate_model(model, snacks(), labels, seen, options).to_json()


def test_learned_models_beat_popularity_and_random(model: Model) -> None:
    found = report_of(model, tastes_meet(1_000, seed=5), Chunks((tastes_meet(500, seed=6).parts[0],)))
    ndcg = found["whole_catalog"]["all"]["ndcg"]
    assert ndcg["above_popularity"]["low"] > 0.05
    assert ndcg["model"]["value"] > ndcg["random"]["value"] + 0.1
    assert found["within_customer"]["all"]["above_popularity"]["low"] > 0.2


def test_fading_models_are_seen_over_time(model: Model) -> None:
    part = tastes_meet(6_000, seed=5).parts[0]
    turned = replace(part, accepted=np.where(np.arange(6_000) < 3_000, part.accepted, 1 - part.accepted))
    stretches = report_of(model, Chunks((turned,)), tastes_meet(50, seed=6))["by_time"]
    assert [one["model"]["value"] > 0.7 for one in stretches] == [True] * 3 + [False] * 3
    assert [one["from_ms"] for one in stretches] == [1_000, 2_000, 3_000, 4_000, 5_000, 6_000]


def test_offers_accepted_again_and_again_are_ranked(model: Model) -> None:
    labels = tastes_meet(1_000, seed=5)
    found = report_of(model, labels, labels)["whole_catalog"]
    assert (found["repeats"], found["known_ranked"], found["questions"]) == (1.0, True, found["acceptances"])


def test_never_repeated_offers_are_left_out(model: Model) -> None:
    seen = tastes_meet(1_000, seed=6)
    before = {(row % 60, offer) for row, offer in accepted_in(seen)}
    part = tastes_meet(1_000, seed=5).parts[0]
    fresh = [(one, offer) not in before for one, offer in zip(part.customer, part.offer, strict=True)]
    labels = Chunks((replace(part, accepted=part.accepted * np.array(fresh, np.int8)),))
    found = report_of(model, labels, seen)["whole_catalog"]
    assert (found["repeats"], found["known_ranked"]) == (0.0, False)
    assert found["all"]["ndcg"]["model"]["value"] > found["all"]["ndcg"]["random"]["value"]


def accepted_in(labels: Chunks) -> list[tuple[int, int]]:
    part = labels.parts[0]
    kept = part.accepted == 1
    return list(zip(part.customer[kept].tolist(), part.offer[kept].tolist(), strict=True))


def test_models_below_trivial_rankings_are_named(model: Model) -> None:
    cautions = report_of(turned_round(model), tastes_meet(1_000, seed=5), tastes_meet(500, seed=6))["cautions"]
    assert any(caution.startswith("the model is below popularity: nDCG@4") for caution in cautions)
    assert any(caution.startswith("the model is below the customer's own frequency: AUC") for caution in cautions)


def turned_round(model: Model) -> Model:
    """Return a model that ranks what customers like least first."""
    tower = model.user_tower
    layers = tuple(replace(layer, weight=-layer.weight, bias=-layer.bias) for layer in tower.layers)
    return replace(model, user_tower=replace(tower, layers=layers))


def many_customers(rows: int, seed: int) -> Chunks:
    """Return labels of three hundred customers, so many that the gate compares."""
    part = tastes_meet(rows, seed=seed).parts[0]
    ids = [f"c-{row}-{copy}" for copy in range(5) for row in range(60)]
    customer = part.customer + 60 * (np.arange(rows) % 5)
    return Chunks((replace(part, customers=Views(ids, [*part.customers.features] * 5), customer=customer),))


def test_both_stages_are_judged(model: Model) -> None:
    labels, seen = tastes_meet(1_000, seed=5), tastes_meet(500, seed=6)
    one, both = (report_of(each, labels, seen) for each in (model, replace(model, reranker=network())))
    assert one["two_stages"] is None
    assert both["two_stages"]["ndcg"]["towers"]["value"] > both["two_stages"]["ndcg"]["both"]["value"]
    assert both["whole_catalog"] == one["whole_catalog"]
    (said,) = set(both["cautions"]) - set(one["cautions"])
    assert "what its towers rank by themselves" in said


def test_the_verdict_is_the_gates(model: Model) -> None:
    labels, seen = many_customers(6_000, seed=5), many_customers(500, seed=6)
    good = evaluate_model(model, snacks(), labels, seen, OPTIONS).verdict
    bad = evaluate_model(turned_round(model), snacks(), labels, seen, OPTIONS).verdict
    assert good is not None
    assert bad is not None
    assert (good.publish, bad.publish) == ("yes", "no")
    assert "not above popularity's" in bad.reasons[0]


def test_labels_state_their_span(model: Model) -> None:
    span = JudgedSpan("labels/", None, 5)
    found = evaluate_model(
        model, snacks(), tastes_meet(200, seed=5), tastes_meet(50, seed=6), replace(OPTIONS, span=span)
    )
    assert found.to_json()["span"] == {
        "labels": "labels/",
        "seen": None,
        "evaluated_at_ms": 5,
        "from_ms": 1_000,
        "until_ms": 1_199,
    }


def relabelled(*, offers_known: int) -> Chunks:
    """Return labels of which those offers keep their names that come first, and the others get foreign ones."""
    part = tastes_meet(1_000, seed=5).parts[0]
    ids = [one if place < offers_known else f"{one}.0" for place, one in enumerate(part.offers.ids)]
    return Chunks((replace(part, offers=Views(ids, part.offers.features)),))


def test_labels_outside_the_catalog_are_counted(model: Model) -> None:
    offers = len(tastes_meet(1_000, seed=5).parts[0].offers.ids)
    labels = relabelled(offers_known=offers - 1)
    cautions = report_of(model, labels, tastes_meet(50, seed=6))["cautions"]
    outside = int((labels.parts[0].offer == offers - 1).sum())
    stranger = labels.parts[0].offers.ids[-1]
    sentence = f"{outside:,} of 1,000 labels are of offers that are not in the catalog, such as {stranger!r}"
    assert sentence in cautions
    unlearned = replace(model, facts={})
    assert quality_facts(unlearned, snacks(), labels, held_out=0.2)[1] == [sentence]


def test_mostly_foreign_labels_are_refused(model: Model) -> None:
    labels = relabelled(offers_known=1)
    with pytest.raises(UsageError, match="not in the catalog, more than half"):
        report_of(model, labels, tastes_meet(50, seed=6))
    with pytest.raises(UsageError, match="write ids in both files alike"):
        evaluate_table(snacks(), labels, OPTIONS)


def test_train_and_evaluate_judge_alike() -> None:
    labels = tastes_meet(1_500, seed=3, only_accepted=True)
    trained = train_model(
        labels, snacks(), TrainOptions(dim=8, width=4, epochs=3, learning_rate=0.02, customer_id="off", refit=False)
    )
    judged: Any = trained.model.facts["judged"]
    found = report_of(trained.model, labels, None, replace(OPTIONS, k=10))["whole_catalog"]
    assert found["questions"] == judged["questions"]
    assert found["beside"] == judged["beside"]


def test_held_out_rows_judge_the_model(model: Model) -> None:
    data = tastes_meet()
    judged = judge(model, snacks(), data, None, held_out=0.5)
    assert len(judged.rows) == model.facts["held_out_rows"]
    within: Any = report_of(model, data)["within_customer"]["all"]
    known: Any = model.facts["held_out_auc"]
    assert within["model"]["value"] == pytest.approx(known["within_customer"])
    assert within["popularity"]["value"] == pytest.approx(model.facts["popularity_auc"]["within_customer"])  # type: ignore[index]


def later_labels(rows: int = 1_000) -> Chunks:
    part = tastes_meet(rows, seed=5).parts[0]
    return Chunks((replace(part, request_time_ms=part.request_time_ms + 10**9),))


def test_newer_labels_are_all_judged(model: Model) -> None:
    found = report_of(model, later_labels())
    assert found["rows"] == 1_000
    assert "nothing is known of popularity" in found["incomparable"]


def test_gate_keeps_earlier_labels_for_popularity(model: Model) -> None:
    judged = judge(model, snacks(), later_labels(), None, held_out=0.25, keep_earlier=True)
    assert len(judged.rows) == 250
    assert judged.known.popularity.sum() > 0


def test_self_selected_labels_compare_with_nothing(model: Model) -> None:
    labels, seen = tastes_meet(1_000, seed=5), tastes_meet(50, seed=6)
    scores = judge(model, snacks(), labels, seen, held_out=0.2).scores()
    own = Chunks((replace(labels.parts[0], score=scores.astype(np.float32).astype(float)),))
    found = report_of(model, own, seen)
    assert found["self_selected"] == 1.0
    assert "100% of the judged rows were ranked by this very model" in found["incomparable"]
    assert found["verdict"] == {"publish": "cannot tell", "reasons": (found["incomparable"],)}
    others = Chunks((replace(labels.parts[0], score=scores + 0.01),))
    assert report_of(model, others, seen)["incomparable"] is None
    (doubt,) = quality_facts(replace(model, facts={}), snacks(), own, held_out=0.2)[1]
    assert doubt.startswith("100% of the judged rows were ranked by this very model")


def test_inactive_offers_are_neither_ranked_nor_relevant(model: Model) -> None:
    labels, seen = tastes_meet(1_000, seed=5), tastes_meet(50, seed=6)
    offers = [replace(one, active=number > 3) for number, one in enumerate(snacks())]
    judged = judge(model, offers, labels, seen, held_out=0.2)
    assert np.flatnonzero(~judged.rankable()).tolist() == [0, 1, 2, 3]
    found = evaluate_model(model, offers, labels, seen, replace(OPTIONS, k=12)).to_json()["whole_catalog"]
    assert found["coverage"]["random"] == 1.0
    assert found["all"]["recall"]["random"]["value"] == 1.0


@pytest.mark.parametrize(("valid_until_ms", "rankable"), [(1_000, False), (1_001, True), (None, True)])
def test_expired_offers_are_not_ranked(model: Model, valid_until_ms: int | None, rankable: bool) -> None:
    offers = [replace(one, valid_until_ms=valid_until_ms) for one in snacks()]
    judged = judge(model, offers, tastes_meet(100, seed=5), tastes_meet(50, seed=6), held_out=0.2)
    assert judged.rankable().all() == rankable


def test_unknown_label_features_are_stated(model: Model) -> None:
    part = tastes_meet(500, seed=5).parts[0]
    renamed = Views(part.customers.ids, [{"Likes": row["likes"], "age": row["age"]} for row in part.customers.features])
    found = report_of(model, Chunks((replace(part, customers=renamed),)), tastes_meet(50, seed=6))
    assert found["features"][0]["missing"] == {"likes": 60}
    assert any("'likes' (100%)" in caution for caution in found["cautions"])


def test_labels_that_all_misfit_are_refused(model: Model) -> None:
    part = tastes_meet(50, seed=5).parts[0]
    wrong = Views(part.customers.ids, [{"age": "old"} for _ in part.customers.ids])
    with pytest.raises(UsageError, match="none of 50 labels can be judged"):
        report_of(model, Chunks((replace(part, customers=wrong),)))


def test_training_labels_cannot_judge_the_model() -> None:
    options = TrainOptions(dim=8, width=4, epochs=2, batch_rows=256, learning_rate=0.02, refit=True)
    refitted = train_model(tastes_meet(600), snacks(), options).model
    with pytest.raises(UsageError, match="no label is later: judge it by later labels, or train it with --no-refit"):
        report_of(refitted, tastes_meet(600))
    with pytest.raises(UsageError, match=r"judge it by later labels$"):
        report_of(replace(refitted, facts={"trained_until_ms": 10**15}), tastes_meet(600))


def test_new_customers_and_offers_are_judged_apart(model: Model) -> None:
    labels, part = tastes_meet(2_000, seed=5), tastes_meet(1_000, seed=6).parts[0]
    known = (part.customer < 30) & (part.offer < 9)
    rows = {
        name: getattr(part, name)[known]
        for name in ("customer", "offer", "request", "accepted", "rank", "score", "propensity")
    }
    rows |= {name: getattr(part, name)[known] for name in ("weight", "request_time_ms", "shown")}
    # views that no row points at were not seen either
    seen = Chunks((replace(part, **rows),))
    found = report_of(model, labels, seen)
    assert found["whole_catalog"]["new_customers"]["customers"] == 30
    assert 0 < found["whole_catalog"]["new_offers"]["customers"] <= 60
    assert found["within_customer"]["new_customers"]["customers"] == 30


def test_off_policy_estimates_need_propensities(model: Model) -> None:
    assert report_of(model, tastes_meet(500, seed=5), tastes_meet(50, seed=6))["off_policy"] is None


def uniform_log(rows: int) -> Chunks:
    part = tastes_meet(rows, seed=7).parts[0]
    return Chunks((replace(part, propensity=np.full(rows, 1 / 12)),))


def test_best_offers_are_worth_their_tastes(model: Model) -> None:
    found = report_of(model, uniform_log(8_000), tastes_meet(50, seed=6))["off_policy"]
    assert found["effective_sample_size"] == pytest.approx(8_000 / 12, rel=0.2)
    for name in ("ips", "snips", "doubly_robust"):
        assert found[name]["low"] < 0.6 < found[name]["high"]
    assert abs(found["logged"]["value"] - 0.22) < 0.02


def test_a_table_of_probabilities_is_a_policy(model: Model) -> None:
    table = {1: np.eye(12)[0]}
    options = replace(OPTIONS, off_policy=OffPolicyOptions(table, 100.0, 1e9))
    found = report_of(model, uniform_log(8_000), tastes_meet(50, seed=6), options)["off_policy"]
    assert found["snips"]["low"] < 0.22 < found["snips"]["high"]
    assert found["policy"] == "table"


def test_policy_tables_need_no_model(model: Model) -> None:
    options = replace(OPTIONS, off_policy=OffPolicyOptions({1: np.eye(12)[0]}, 100.0, 1e9))
    alone = evaluate_table(snacks(), uniform_log(2_000), options).to_json()
    beside = report_of(model, uniform_log(4_000), None, options)
    assert (alone["rows"], alone["off_policy"]["requests"]) == (2_000, 2_000)
    assert beside["rows"] < beside["off_policy"]["requests"] == 4_000


def test_requests_of_open_windows_are_not_judged(model: Model) -> None:
    part = uniform_log(1_000).parts[0]
    open_from = 700  # from there on only what was accepted is an example yet
    shown = (part.accepted == 1) | (np.arange(1_000) >= open_from)
    last = int(np.flatnonzero(~shown)[-1])
    judged = judge(model, snacks(), Chunks((replace(part, shown=shown),)), tastes_meet(50, seed=6), held_out=0.2)
    assert len(judged.rows) == last + 1 <= open_from


def test_sampled_negatives_carry_no_off_policy_estimate(model: Model) -> None:
    part = uniform_log(1_000).parts[0]
    sampled = Chunks((replace(part, weight=np.where(part.accepted == 1, 1.0, 2.0)),))
    found = report_of(model, sampled, tastes_meet(50, seed=6))["off_policy"]
    assert (found["logged"], found["ips"], found["direct"]) == (None, None, None)
    assert "negatives were sampled" in found["refused"]


def test_samples_too_small_are_refused(model: Model) -> None:
    found = report_of(model, uniform_log(600), tastes_meet(50, seed=6))["off_policy"]
    assert found["ips"] is None
    assert "at least 100 is needed" in found["refused"]


def test_the_same_seed_gives_the_same_report(model: Model) -> None:
    labels, seen = uniform_log(2_000), tastes_meet(50, seed=6)
    assert report_of(model, labels, seen) == report_of(model, labels, seen)


def test_judged_labels_get_accepted_before() -> None:
    options = TrainOptions(dim=8, width=4, epochs=1, accepted_before=5)
    learned = train_model(tastes_meet(600), snacks(), options).model
    later = tastes_meet(100, seed=5).parts[0]
    labels = Chunks((replace(later, request_time_ms=later.request_time_ms + 10**6),))
    judged = judge(learned, snacks(), labels, tastes_meet(600), held_out=0.2)
    customers = judged.data.coverages[0]
    assert customers.read == ("accepted_before", "age", "likes")
    assert customers.missing.get("accepted_before", 0) < customers.rows / 10
