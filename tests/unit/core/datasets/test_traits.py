"""What a log looks like: repeats, density, and whether anything was refused."""

import numpy as np
import pytest

from stream_scorer.core.datasets.chunks import Views
from stream_scorer.core.datasets.traits import LogTraits, RepeatCount, traits_of
from stream_scorer.core.messages import Offer
from stream_scorer.services.learning.trainer import read_lesson
from stream_scorer.training.options import TrainOptions
from tests.example_samples import Chunks, chunk

OFFERS = [Offer(offer_id=name, features={}) for name in ("x", "y", "z", "new")]


def traits(rows: list[tuple[int, int, int]]) -> LogTraits:
    customers, offers = Views(["a", "b"], [{}] * 2), Views(["x", "y", "gone"], [{}] * 3)
    options = TrainOptions(customer_id="on", offer_id="on")
    return traits_of(read_lesson(Chunks((chunk(customers, offers, rows),)), OFFERS, options).data)


def test_later_acceptances_of_a_pair_are_repeats() -> None:
    assert traits([(0, 0, 1), (0, 0, 1), (0, 1, 1), (1, 0, 1)]).repeats == pytest.approx(1 / 4)


def test_density_is_the_share_of_accepted_pairs() -> None:
    assert traits([(0, 0, 1), (0, 0, 1), (0, 1, 1), (1, 0, 1)]).density == pytest.approx(3 / (2 * 4))


def test_only_accepted_catalog_rows_are_pairs() -> None:
    found = traits([(0, 0, 1), (0, 1, 0), (1, 2, 1), (1, 2, 1)])
    assert (found.rows, found.everything_accepted, found.repeats) == (4, False, 0.0)
    assert found.density == pytest.approx(1 / 8)
    assert np.isfinite([found.repeats, found.density]).all()


def test_repeats_are_counted_over_chunks() -> None:
    count = RepeatCount()
    assert count.repeats == 0.0
    for _ in range(2):
        count.add(chunk(Views(["a", "b"], [{}] * 2), Views(["a", "b"], [{}] * 2), [(0, 0, 1), (1, 1, 1), (0, 1, 0)]))
    assert (count.rows, count.accepted) == (6, 4)
    assert count.repeats == pytest.approx(1 / 2)
    assert not count.shows_habits  # one row was refused


def shown(choices: list[int], offers: int, *, one_list: bool = True) -> RepeatCount:
    """Count a log in which ten customers choose by turns, of all offers in a list, or in a request for each offer."""
    count, names = RepeatCount(), [f"o{place}" for place in range(offers)]
    rows = [(row % 10, each, int(each == chosen)) for row, chosen in enumerate(choices) for each in range(offers)]
    number = np.arange(len(rows), dtype=np.uint64)
    customers, listed = Views([f"c{place}" for place in range(10)], [{}] * 10), Views(names, [{}] * offers)
    count.add(chunk(customers, listed, rows, request=number // offers if one_list else number))
    return count


def test_own_favourites_show_loyalty() -> None:
    count = shown([row % 10 for row in range(100)], offers=10)
    assert (count.shows_habits, count.shows_loyalty) == (False, True)


def test_single_offers_are_no_choices() -> None:
    assert not shown([row % 10 for row in range(100)], offers=10, one_list=False).shows_loyalty


def test_chance_repeats_show_no_loyalty() -> None:
    count = shown([row * 7 % 3 for row in range(200)], offers=3)
    assert count.repeats > 0.5
    assert not count.shows_loyalty
    assert not shown([0] * 100, offers=3).shows_loyalty  # everybody takes the same offer


def test_acceptances_alone_show_no_loyalty() -> None:
    assert not RepeatCount().shows_loyalty
    assert not shown([0] * 100, offers=1).shows_loyalty
