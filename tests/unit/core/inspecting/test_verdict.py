"""The verdict of an evaluation: the gate's, and honest where labels cannot tell."""

from typing import Any

from stream_scorer.core.inspecting.verdict import verdict_of


def facts(customers: int, mine: float = 0.8, **more: object) -> dict[str, Any]:
    figures = {"within_customer": mine, "customers": customers, "standard_error": 0.01}
    return {"held_out_auc": figures, "popularity_auc": {**figures, "within_customer": 0.6}, **more}


def test_faults_of_the_gate_say_no() -> None:
    found = verdict_of(["there are no offers"], facts(5_000), "ranked by this very model")
    assert (found.publish, found.reasons) == ("no", ("there are no offers",))


def test_incomparable_labels_cannot_tell() -> None:
    found = verdict_of([], facts(5_000), "ranked by this very model")
    assert (found.publish, found.reasons) == ("cannot tell", ("ranked by this very model",))


def test_few_customers_cannot_tell() -> None:
    found = verdict_of([], facts(3), None)
    assert found.publish == "cannot tell"
    assert "3 customers have accepted and other held-out rows" in found.reasons[0]
    assert verdict_of([], {}, None).publish == "cannot tell"


def test_passing_the_gate_says_yes() -> None:
    found = verdict_of([], facts(5_000), None)
    assert found.publish == "yes"
    assert "AUC within customer 0.8000, popularity's 0.6000, by 5,000 customers" in found.reasons[0]


def test_ranking_alike_is_no_doubt() -> None:
    found = verdict_of([], facts(5_000, order_agreement=1.0), None)
    assert found.publish == "yes"
    assert "ranks alike for all customers" in found.reasons[1]
