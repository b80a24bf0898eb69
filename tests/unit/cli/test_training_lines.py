"""What a training says of its model."""

from typing import Any

from stream_scorer.cli.training_lines import fact_lines, trial_line

FACTS: dict[str, Any] = {
    "inputs": [
        {"name": "offer.price", "kind": "number", "missing": 0.25, "distinct": 8, "encoding": "standardised"},
    ],
    "rows": 1_200,
    "positives": 400,
    "customers": 30,
    "catalog_offers": 8,
    "refused_rows": 0,
    "objective": "shown",
    "device": "cpu",
    "best_epoch": 3,
    "epochs": 5,
    "held_out_loss": 0.5,
    "held_out_rows": 120,
    "held_out_auc": {"within_customer": 0.75, "standard_error": 0.01},
    "popularity_auc": {"within_customer": 0.6},
}


def test_models_are_described_by_their_facts() -> None:
    assert list(fact_lines(FACTS)) == [
        "reads offer.price: number, 8 values, 25 % missing; standardised",
        "1,200 rows, 400 accepted, 30 customers, 8 offers",
        "objective shown, epoch 3 of 5 kept, trained on cpu",
        "held out: 120 rows, loss 0.5000",
        "AUC within customer 0.750 ± 0.020, popularity 0.600",
    ]


def test_decompositions_have_forms_and_no_epochs() -> None:
    lines = fact_lines({**FACTS, "options": {"spectral": True}})
    assert "objective shown, decomposed, form 3 of 5 tried kept, trained on cpu" in lines


def test_rows_left_out_are_counted() -> None:
    lines = list(fact_lines({**FACTS, "refused_rows": 7, "rows_outside_catalog": 1_000}))
    assert lines[2:4] == [
        "7 rows left out: their features do not fit",
        "1,000 rows are of offers that are not in the catalog",
    ]


def test_trials_are_described_by_their_end() -> None:
    trial = {
        "setting": {},
        "figure": "loss",
        "badness": -0.25,
        "epochs": 4,
        "seconds": 1.5,
        "ended": "done",
        "kept": True,
    }
    assert trial_line(trial) == "as given: loss 0.2500 (4 epochs, 1.5 s, done), kept"
