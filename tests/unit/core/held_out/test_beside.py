"""What is said of a model that trivial rankings equal or beat."""

import numpy as np

from stream_scorer.core.held_out.beside import beside

RNG = np.random.default_rng(0)
GOOD, POOR = RNG.normal(0.5, 0.1, 200), RNG.normal(0.3, 0.1, 200)


def test_a_model_above_all_is_not_mentioned() -> None:
    assert list(beside("nDCG@10", {"model": GOOD, "popularity": POOR}).sentences()) == []


def test_models_below_are_stated_with_both_figures() -> None:
    (sentence,) = beside("nDCG@10", {"model": POOR, "popularity": GOOD}).sentences("new offers: ")
    assert sentence.startswith("new offers: the model is below popularity: nDCG@10 0.2")
    assert "against 0.5" in sentence


def test_differences_within_noise_are_stated() -> None:
    (sentence,) = beside("AUC", {"model": GOOD[::-1] + 0.005, "popularity": GOOD}).sentences()
    assert "is not above, by more than noise, popularity" in sentence


def test_the_best_trivial_ranking_comes_first() -> None:
    found = list(beside("AUC", {"model": POOR, "a random order": POOR + 0.1, "popularity": GOOD}).sentences())
    assert ["popularity" in sentence for sentence in found] == [True, False]


def test_few_customers_say_nothing() -> None:
    assert list(beside("AUC", {"model": POOR[:9], "popularity": GOOD[:9]}).sentences()) == []


def test_surely_better_rankings_are_listed_best_first() -> None:
    found = beside("AUC", {"model": POOR, "a random order": POOR, "habits": POOR + 0.1, "popularity": GOOD})
    assert [one.name for one in found.better] == ["popularity", "habits"]
    assert beside("AUC", {"model": POOR[:9], "popularity": GOOD[:9]}).better == []
