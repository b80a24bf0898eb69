import pytest

from stream_scorer.adapters.memory.lists import MemoryLists, cluster
from stream_scorer.bench.rank.indexing import IndexCost, index_data, index_page, measure_index
from stream_scorer.core.ranking import index_building, index_plan


def test_sizes_and_shares_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (index_plan, index_building):
        monkeypatch.setattr(module, "INDEX_OFFERS_MIN", 1_500)
    costs = measure_index(cluster, MemoryLists, sizes=(1_000, 2_000), shares=(1.0, 0.01))
    assert [(cost.offers, cost.eligible, cost.probes is None) for cost in costs] == [
        (1_000, 1.0, True),
        (1_000, 0.01, True),
        (2_000, 1.0, False),
        (2_000, 0.01, False),
    ]
    assert [cost.by_index for cost in costs] == [0, 0, 1, 0]
    assert all(cost.recall >= 0.9 for cost in costs)


def test_the_page_shows_every_figure() -> None:
    costs = [
        IndexCost(100_000, 64, 0.001, 321, 45, 0.9912, 0.5, 16, 7.0),
        IndexCost(10, 64, 1.0, 1, 1, 1.0, 0, None, None),
    ]
    page = index_page({"cores": 2}, costs)
    assert "100,000       64     0.001       321          45  0.9912       50%      16" in page
    assert "index of 100,000 offers built in 7 s" in page
    assert index_data({}, costs)["index"][1]["build_s"] is None
