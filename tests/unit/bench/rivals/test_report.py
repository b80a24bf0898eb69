"""Each contender's figures as they are shown."""

from stream_scorer.bench.rivals.costs import Cost
from stream_scorer.bench.rivals.report import rivals_data, rivals_page

COSTS = [Cost("ours", "exactly_once", 20.0, 100.0, 8, 8), Cost("theirs", "at_least_once", 50.0, 80.0, 7, 8)]


def test_costs_are_multiples_of_ours() -> None:
    assert [row["ratio"] for row in rivals_data({}, COSTS)["costs"]] == [1.0, 2.5]


def test_a_page_shows_every_contender() -> None:
    page = rivals_page({"cores": 2}, COSTS)
    assert "theirs                      at_least_once         50.0     2.50     80  7 of 8" in page
