"""The table of what reading costs."""

from stream_scorer.bench.kinds import KINDS
from stream_scorer.bench.rank.decoding import DecodingCost, decoding_data, decoding_page, measure_decoding


def test_every_kind_has_a_row() -> None:
    costs = measure_decoding(records=8, rounds=1)
    assert [cost.kind for cost in costs] == list(KINDS)
    assert all(cost.bytes_per_record > 100 for cost in costs)


def test_the_page_shows_each_cost() -> None:
    costs = [DecodingCost("plain", 323.4, 2.104, 1.0), DecodingCost("URLs", 423.0, 3.5, 1.271)]
    assert "URLs                     423    3.50                1.27" in decoding_page({"cores": 2}, costs)
    assert decoding_data({"cores": 2}, costs)["decoding"][0]["processor_us"] == 2.104
