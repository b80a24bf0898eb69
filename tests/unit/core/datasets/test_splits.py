"""What is held out: the latest, whole requests, and of customers known by id the latest of each."""

from dataclasses import replace
from typing import Any

import numpy as np

from stream_scorer.core.datasets.splits import split_by_time, split_for_ids, split_within_customers, without_some_offers
from stream_scorer.core.datasets.training_set import TrainingSet
from stream_scorer.services.learning.trainer import read_lesson
from stream_scorer.training.options import TrainOptions
from tests.example_samples import Chunks, snacks, tastes_meet


def built(**columns: Any) -> TrainingSet:
    part = replace(tastes_meet(len(next(iter(columns.values())))).parts[0], **columns)
    source = Chunks((part,))
    return read_lesson(source, snacks(), TrainOptions()).data


def test_the_latest_requests_are_held_out_whole() -> None:
    data = built(request_time_ms=np.arange(100) // 3)
    rows, held_out = split_by_time(data, 0.2)
    assert data.request_time_ms[rows].max() < data.request_time_ms[held_out].min()
    assert (len(rows) + len(held_out), len(held_out) >= 20) == (100, True)


def test_without_times_requests_are_split_by_hash() -> None:
    requests = np.repeat(np.random.default_rng(0).integers(0, 2**63, 200, np.uint64), 10)
    data = built(request_time_ms=np.zeros(2_000, np.int64), request=requests)
    rows, held_out = split_by_time(data, 0.2)
    assert not set(data.request[rows].tolist()) & set(data.request[held_out].tolist())
    assert 100 < len(held_out) < 800


def test_each_customers_latest_acceptances_are_held_out() -> None:
    data = built(request_time_ms=np.arange(3_000), accepted=np.ones(3_000, np.int8))
    rows, held_out = split_within_customers(data, 0.2)
    for who in np.unique(data.who[held_out]):
        own = (
            data.request_time_ms[rows[data.who[rows] == who]],
            data.request_time_ms[held_out[data.who[held_out] == who]],
        )
        assert own[0].max() < own[1].min()
        assert 0 <= len(own[1]) - int(0.2 * (len(own[0]) + len(own[1]))) <= 1


def test_few_acceptances_leave_every_customer_one() -> None:
    data = built(request_time_ms=np.arange(120), accepted=np.ones(120, np.int8))
    rows, held_out = split_within_customers(data, 0.2)
    assert np.bincount(data.who).max() < 7
    assert 0.1 < len(held_out) / 120 < 0.3
    assert set(data.who[rows].tolist()) == set(data.who.tolist())


def test_within_customers_no_times_are_needed() -> None:
    data = built(request_time_ms=np.zeros(3_000, np.int64), accepted=np.ones(3_000, np.int8))
    rows, held_out = split_within_customers(data, 0.2)
    assert 0.15 < len(held_out) / 3_000 < 0.25
    assert set(np.unique(data.who[rows])) == set(np.unique(data.who))


def test_without_times_offers_are_on_both_sides() -> None:
    data = built(request_time_ms=np.zeros(3_000, np.int64), accepted=np.ones(3_000, np.int8))
    _, held_out = split_within_customers(data, 0.2)
    counts = np.bincount(data.catalog_of[data.offer[held_out]], minlength=12) / np.bincount(
        data.catalog_of[data.offer], minlength=12
    )
    assert counts.min() > 0.1
    assert counts.max() < 0.35


def test_returning_customers_are_judged_by_time() -> None:
    data = built(request_time_ms=np.arange(3_000), accepted=np.ones(3_000, np.int8))
    _, held_out = split_for_ids(data, 0.2)
    assert held_out.tolist() == list(range(len(data) - len(held_out), len(data)))


def test_customers_who_come_once_are_split_within() -> None:
    part = tastes_meet(3_000).parts[0]
    times = part.customer * 1_000_000 + np.arange(3_000)  # one customer after the other
    data = built(request_time_ms=times, accepted=np.ones(3_000, np.int8))
    rows, held_out = split_for_ids(data, 0.2)
    assert set(data.who[rows].tolist()) == set(range(60))
    assert held_out.tolist() == split_within_customers(data, 0.2)[1].tolist()


def test_some_offers_are_held_out_as_new() -> None:
    data = built(request_time_ms=np.arange(3_000), accepted=np.ones(3_000, np.int8))
    rows = without_some_offers(data, np.arange(2_000), 0.4)
    kept = set(data.catalog_of[data.offer[rows]].tolist())
    assert 5 <= len(kept) <= 9
    assert all((data.catalog_of[data.offer[row]] in kept) == (row in set(rows.tolist())) for row in range(0, 2_000, 50))


def test_offers_outside_the_catalog_stay() -> None:
    data = built(request_time_ms=np.arange(3_000), accepted=np.ones(3_000, np.int8))
    data.catalog_of[0] = -1
    kept = without_some_offers(data, np.arange(3_000), 0.4)
    assert np.count_nonzero(data.offer[kept] == 0) == np.count_nonzero(data.offer == 0) > 0


def test_last_acceptances_are_never_held_out() -> None:
    accepted = np.zeros(100, np.int8)
    accepted[-5:] = 1
    data = built(request_time_ms=np.arange(100), accepted=accepted)
    assert [len(part) for part in split_by_time(data, 0.2)] == [100, 0]
    assert [len(part) for part in split_by_time(data, 0.0)] == [100, 0]
