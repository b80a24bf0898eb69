"""Worlds for the benchmark of defaults: their shapes are what their names say, and their odds are what happens."""

from collections.abc import Callable

import numpy as np
import pytest

from stream_scorer.simulation.quality_worlds import (
    WORLDS,
    QualityWorld,
    contexts_and_repeats,
    large_sparse_ids,
    many_new_offers,
    price_tolerance,
    tiny_tabular,
)


@pytest.mark.parametrize("make", WORLDS)
def test_a_seed_makes_the_same_world(make: Callable[[int, float], QualityWorld]) -> None:
    one, again, other = make(1, 0.1), make(1, 0.1), make(2, 0.1)
    assert one.log.offer.tolist() == again.log.offer.tolist()
    assert one.log.offer.tolist() != other.log.offer.tolist()


@pytest.mark.parametrize("make", WORLDS)
def test_a_chunk_holds_the_log(make: Callable[[int, float], QualityWorld]) -> None:
    world = make(1, 0.1)
    chunk = world.chunk()
    assert len(chunk) == len(world.log.customer)
    shown = [chunk.offers.ids[place] for place in chunk.offer[:50]]
    assert shown == [world.catalog()[offer].offer_id for offer in world.log.offer[:50]]


@pytest.mark.parametrize("make", WORLDS)
def test_the_worlds_odds_say_what_is_accepted(make: Callable[[int, float], QualityWorld]) -> None:
    world = make(1, 0.2)
    if world.ranks:
        accepted = np.take_along_axis(world.truth, world.judged.offer[:, None], axis=1)[:, 0]
        assert accepted.mean() > world.truth.mean() + 0.5
    else:
        accepted = world.judged.accepted == 1
        assert world.truth[accepted].mean() > world.truth[~accepted].mean() + 0.5


@pytest.mark.parametrize("make", WORLDS)
def test_only_habits_make_customers_accept_again(make: Callable[[int, float], QualityWorld]) -> None:
    world = make(1, 0.1)
    if world.ranks:
        pairs = [rows.customer * len(world.offers) + rows.offer for rows in (world.log, world.judged)]
        distinct = np.unique(np.concatenate(pairs))
        assert (len(distinct) < sum(map(len, pairs))) == world.repeats


def test_customers_with_habits_repeat_themselves() -> None:
    world = contexts_and_repeats(0, 0.2)
    pairs = world.log.customer * len(world.offers) + world.log.offer
    again = world.judged.customer * len(world.offers) + world.judged.offer
    assert np.isin(again, pairs).mean() > 0.6
    assert world.chunk().customers.features[0].keys() == {f"context_{number}" for number in range(4)}


def test_new_offers_are_accepted_only_later() -> None:
    world = many_new_offers(0, 0.2)
    assert not world.new[world.log.offer].any()
    assert world.new[world.judged.offer].mean() > 0.2


def test_sparse_ids_share_few_acceptances() -> None:
    world = large_sparse_ids(0, 0.3)
    assert len(world.log.customer) / (len(world.customers) * len(world.offers)) < 0.05
    assert world.offers[0] == {}


def test_a_tabular_log_has_refusals() -> None:
    world = tiny_tabular(0, 0.2)
    assert 0.2 < world.log.accepted.mean() < 0.8
    assert world.truth.shape == world.judged.customer.shape


def test_lists_of_ten_are_one_request() -> None:
    world = price_tolerance(0, 0.05)
    chunk = world.chunk(world.biased)
    assert chunk.request[:10].tolist() == [1] * 10
    assert chunk.rank[:10].tolist() == list(range(1, 11))
    assert world.biased is not None
    seen = world.biased.accepted.reshape(-1, 10).mean(axis=0)
    assert seen[0] > 2 * seen[5:].mean()
