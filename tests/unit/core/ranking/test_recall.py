from dataclasses import replace

import numpy as np
import pytest

from stream_scorer.core.ranking import index_plan
from stream_scorer.core.ranking.best_offers import rank
from stream_scorer.core.ranking.pipeline import rank_batch
from stream_scorer.core.ranking.recall import JUDGED_REQUESTS_MIN, Recall, recall_of, sampled_recall
from tests.index_worlds import CLUSTERS, centres, clustered, indexed
from tests.ranking_worlds import TOPICS, record_of, release_of, request

REQUESTS = [request(number) for number in range(CLUSTERS)]


@pytest.fixture(autouse=True)
def _any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_plan, "INDEX_OFFERS_MIN", 1)


def test_recall_is_the_share_found() -> None:
    assert Recall(9, 10, 1).plus(Recall(10, 10, 1)) == Recall(19, 20, 2)
    assert (Recall(19, 20, 2).share, Recall().share) == (0.95, 1.0)


def test_of_two_that_tie_either_counts() -> None:
    exact = rank(REQUESTS[:1], centres()[:1], clustered(), exact=True)
    assert recall_of(exact, np.array([0]), exact) == Recall(10, 10, 1)


def test_a_blind_index_is_measured_by_sample() -> None:
    catalog, lists = indexed(clustered())
    lists.blind = rank(REQUESTS[:1], centres()[:1], catalog, exact=True).rows[:4].tolist()
    ranked = rank(REQUESTS, centres(), catalog)
    assert sampled_recall(REQUESTS, centres(), catalog, ranked, every=1).found == 10 * CLUSTERS - 4
    some = sampled_recall(REQUESTS, centres(), catalog, ranked, every=3)
    assert 0 < some.requests < CLUSTERS
    assert sampled_recall(REQUESTS, centres(), catalog, ranked, every=0) == Recall()


def test_a_mailing_is_sampled_by_its_customers() -> None:
    catalog, _ = indexed(clustered())
    mailing = [replace(each, request_id="mailing") for each in REQUESTS]
    ranked = rank(mailing, centres(), catalog)
    some = sampled_recall(mailing, centres(), catalog, ranked, every=3)
    assert 0 < some.requests < CLUSTERS
    assert some == sampled_recall(mailing, centres(), catalog, ranked, every=3)


def test_only_what_the_index_answers_is_measured() -> None:
    catalog, _ = indexed(clustered())
    ranked = rank(REQUESTS, centres(), catalog, exact=True)
    assert sampled_recall(REQUESTS, centres(), catalog, ranked, every=1) == Recall()


def test_a_batch_states_what_it_measured() -> None:
    catalog, lists = indexed(clustered())
    records = [record_of(each, offset=number) for number, each in enumerate(REQUESTS)]
    batch = rank_batch(records, release_of(catalog, centres()), topics=TOPICS, recall_every=1)
    assert (batch.recall, lists.searched) == (Recall(320, 320, CLUSTERS), CLUSTERS)
    exact = rank_batch(records, release_of(catalog, centres()), topics=TOPICS, recall_every=1, exact=True)
    assert (exact.recall, lists.searched) == (Recall(), CLUSTERS)
    assert exact.outputs == batch.outputs


def test_few_requests_or_chance_judge_nothing() -> None:
    assert not Recall(0, 10 * JUDGED_REQUESTS_MIN, JUDGED_REQUESTS_MIN - 1).is_below(0.99)
    assert not Recall(9_850, 10_000, 1_000).is_below(0.99)
    assert Recall(9_750, 10_000, 1_000).is_below(0.99)
    assert not Recall(10, 10_000, 1_000).is_below(0.0)
