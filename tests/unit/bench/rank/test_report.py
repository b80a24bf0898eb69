"""The figures as they are shown."""

from stream_scorer.bench import job
from stream_scorer.bench.rank.measures import Latency, Throughput
from stream_scorer.bench.rank.report import as_data, as_page
from stream_scorer.core.messages import CustomerRequest
from stream_scorer.core.records import Record
from stream_scorer.core.wire.codec import decode_all

ROWS = [
    Throughput("bare", "exactly_once", 1_000, 50_000, 10.0, 40),
    Throughput("rank", "exactly_once", 1_000, 25_000, 25.0, 100),
]
LATENCY = [Latency("rank", "exactly_once", 500, 4_000, 4.25, 18.5)]


def test_rows_are_compared_by_delivery() -> None:
    rows = as_data({}, ROWS, LATENCY)["throughput"]
    assert [row["ratio_to_bare"] for row in rows] == [1.0, 2.5]


def test_the_page_shows_each_figure() -> None:
    page = as_page({"cores": 2}, ROWS, LATENCY)
    assert "rank, exactly_once            25,000        25.0      2.50     100" in page
    assert "rank, exactly_once               500         4.2      18.5" in page


def test_the_jobs_requests_are_valid() -> None:
    values = [*job.requests(50), job.warm_up()]
    decoded = decode_all(
        [Record("t", 0, number, None, value, 0) for number, value in enumerate(values)], CustomerRequest
    )
    assert decoded.dead_letters == []
    assert [request.customer_id for request in decoded.messages] == [*(str(number) for number in range(50)), "warm-up"]
