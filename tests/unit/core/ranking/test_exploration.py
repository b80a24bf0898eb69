import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from stream_scorer.core.messages import CustomerRequest
from stream_scorer.core.ranking.best_offers import Customers, Ranked, rank
from stream_scorer.core.ranking.exploration import Exploration, explore
from stream_scorer.core.releases.catalog import Catalog
from tests.ranking_worlds import catalog_of, request, unit_vectors

FOUR = catalog_of(np.array([[0.9, 0.0], [0.5, 0.0], [0.0, 0.0], [-0.5, 0.0]]))
MANY = 20_000


def explored(
    requests: list[CustomerRequest], customers: Customers, catalog: Catalog, exploration: Exploration
) -> Ranked:
    return explore(
        requests, rank(requests, customers, catalog, limits=exploration.pool_sizes(requests)), catalog, exploration
    )


def many_rankings(exploration: Exploration, limit: int = 4) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the rows and propensities (MANY, limit) of as many requests of one customer."""
    requests = [request(number, limit=limit) for number in range(MANY)]
    ranked = explored(requests, np.tile([1.0, 0.0], (MANY, 1)), FOUR, exploration)
    assert ranked.propensities is not None
    return ranked.rows.reshape(MANY, limit), ranked.propensities.reshape(MANY, limit)


def chance_of(order: tuple[int, ...], exploration: Exploration) -> list[float]:
    """Say the policy one draw at a time: the chance of each offer of an order, given those before it."""
    weights = np.exp(FOUR.vectors[: exploration.pool, 0].astype(float) / exploration.temperature)
    left, chances = list(range(exploration.pool)), []
    for offer in order:
        chances.append((1 - exploration.floor) * weights[offer] / weights[left].sum() + exploration.floor / len(left))
        left.remove(offer)
    return chances


@pytest.mark.parametrize("exploration", [Exploration(0.5, 0.0, 4), Exploration(0.3, 0.4, 4), Exploration(1.0, 0.2, 3)])
def test_orders_are_as_frequent_as_stated(exploration: Exploration) -> None:
    rows, propensities = many_rankings(exploration, limit=2)
    for order in itertools.permutations(range(exploration.pool), 2):
        these = (rows == order).all(axis=1)
        expected = chance_of(order, exploration)
        np.testing.assert_allclose(propensities[these], np.tile(expected, (these.sum(), 1)), rtol=1e-6)
        assert abs(these.mean() - np.prod(expected)) < 4 * np.sqrt(np.prod(expected) / MANY)


def test_propensities_estimate_any_other_policy() -> None:
    rows, propensities = many_rankings(Exploration(0.4, 0.1, 4), limit=1)
    for offer in range(4):
        assert abs(((rows[:, 0] == offer) / propensities[:, 0]).mean() - 1) < 0.15


def test_cold_exploration_ranks_the_best() -> None:
    rows, propensities = many_rankings(Exploration(1e-4, 0.0, 4))
    assert (rows == [0, 1, 2, 3]).all()
    np.testing.assert_allclose(propensities, 1)


def test_the_floor_holds_for_the_pool() -> None:
    rows, propensities = many_rankings(Exploration(1e-4, 0.3, 3), limit=3)
    assert set(rows.ravel().tolist()) == {0, 1, 2}
    assert propensities.min() >= 0.3 / 3
    np.testing.assert_allclose(propensities[:, 2], 1)


def test_a_limit_beyond_the_pool_widens_it() -> None:
    rows, _ = many_rankings(Exploration(1.0, 0.5, 1), limit=4)
    assert (np.sort(rows, axis=1) == np.arange(4)).all()


def test_scores_stay_those_of_the_offers() -> None:
    requests = [request(number, limit=3) for number in range(20)]
    customers, catalog = unit_vectors(20, 8, seed=1), catalog_of(unit_vectors(50, 8))
    ranked = explored(requests, customers, catalog, Exploration(0.5, 0.2, 10))
    expected = np.einsum("ij,ij->i", customers.repeat(3, axis=0), catalog.vectors[ranked.rows].astype(np.float64))
    np.testing.assert_allclose(ranked.scores, expected, atol=1e-15)
    assert ranked.eligible_counts.tolist() == [50] * 20


@given(st.lists(st.integers(0, 29), min_size=1, max_size=10, unique=True))
@settings(max_examples=25)
def test_exploration_ignores_the_batch(numbers: list[int]) -> None:
    catalog, customers = catalog_of(unit_vectors(40, 5)), unit_vectors(30, 5, seed=1)
    offers = [None, [], catalog.offer_ids[:3], catalog.offer_ids[10:30]]
    requests = [request(number, limit=1 + number, offers=offers[number % 4]) for number in range(30)]
    exploration = Exploration(0.3, 0.1, 7)
    whole = explored(requests, customers, catalog, exploration)
    part = explored([requests[number] for number in numbers], customers[numbers], catalog, exploration)
    assert whole.propensities is not None
    assert part.propensities is not None
    for place, number in enumerate(numbers):
        of_whole, of_part = slice(*whole.starts[number : number + 2]), slice(*part.starts[place : place + 2])
        assert part.rows[of_part].tolist() == whole.rows[of_whole].tolist()
        assert part.propensities[of_part].tobytes() == whole.propensities[of_whole].tobytes()
        assert len(set(part.rows[of_part].tolist())) == len(part.rows[of_part])


def test_customers_of_a_mailing_draw_apart() -> None:
    """They share a request id, and here also a vector: only their own ids can make their draws differ."""
    mailing = [request(number, request_id="mailing", limit=1) for number in range(MANY)]
    rows = explored(mailing, np.tile([1.0, 0.0], (MANY, 1)), FOUR, Exploration(0.5, 0.2, 4)).rows
    expected = [chance_of((offer,), Exploration(0.5, 0.2, 4))[0] for offer in range(4)]
    assert np.abs(np.bincount(rows, minlength=4) / MANY - expected).max() < 4 * 0.5 / np.sqrt(MANY)


def test_ids_that_join_alike_draw_apart() -> None:
    pairs = [request(request_id=f"r{n}", customer_id="1c") for n in range(50)]
    joined = [request(request_id=f"r{n}1", customer_id="c") for n in range(50)]
    one, other = (
        explored(some, np.tile([1.0, 0.0], (50, 1)), FOUR, Exploration(1.0, 0.5, 4)).rows.tolist()
        for some in (pairs, joined)
    )
    assert one != other


def test_empty_batches_explore_nothing() -> None:
    exploration = Exploration(0.3, 0.1, 7)
    assert explored([], np.empty((0, 2)), FOUR, exploration).starts.tolist() == [0]
    assert explored([request(offers=[])], unit_vectors(1, 2), FOUR, exploration).starts.tolist() == [0, 0]
