"""Examples of rankings: drawn by seed, with what was accepted marked."""

import numpy as np

from stream_scorer.core.evaluation.figures import ExampleRanking
from stream_scorer.core.evaluation.model_quality import rank_catalog
from stream_scorer.core.inspecting.example_rankings import example_rankings
from tests.example_samples import TASTES, Chunks, chunk, tastes_meet
from tests.judged_samples import judged_tastes


def examples(seed: int = 0) -> tuple[ExampleRanking, ...]:
    judged = judged_tastes()
    return example_rankings(judged, rank_catalog(judged, 5), np.random.default_rng(seed))


def test_examples_show_the_first_offers() -> None:
    found = examples()
    assert len({one.customer_id for one in found}) == len(found) == 6
    for one in found:
        assert [offer.score for offer in one.offers] == [1.0] * 4 + [0.0]
        assert f"taste {one.features['likes']}" in one.offers[0].features
        assert one.features["likes"] in TASTES


def test_accepted_offers_are_marked_or_missed() -> None:
    part = tastes_meet(1_000, seed=5).parts[0]
    accepted = {
        (part.customers.ids[customer], part.offers.ids[offer])
        for customer, offer, label in zip(part.customer, part.offer, part.accepted, strict=True)
        if label
    }
    for one in examples():
        marked = {offer.offer_id for offer in one.offers if offer.accepted}
        assert all((one.customer_id, offer) in accepted for offer in marked | set(one.missed))
        assert marked | set(one.missed)


def test_the_same_seed_draws_the_same_customers() -> None:
    assert examples() == examples()
    assert examples() != examples(seed=1)


def test_without_acceptances_there_are_no_examples() -> None:
    part = tastes_meet(50, seed=5).parts[0]
    refused = Chunks((chunk(part.customers, part.offers, [(0, 0, 0), (1, 1, 0)]),))
    judged = judged_tastes(labels=refused)
    assert example_rankings(judged, rank_catalog(judged, 5), np.random.default_rng(0)) == ()
