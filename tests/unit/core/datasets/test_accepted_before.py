"""What a customer accepted before each request, from the log by time."""

from typing import Any

import numpy as np

from stream_scorer.core.datasets.accepted_before import AcceptedBefore, accepted_before_stated
from stream_scorer.core.datasets.chunks import Views
from tests.example_samples import Chunks, chunk

OFFERS = Views(["a", "b"], [{}, {}])


def bags(rows: list[tuple[int, int, int]], most: int = 10, **columns: Any) -> list[list[str] | None]:
    """Return the bag of each row, in the order of the rows, by two customers without features."""
    part = chunk(Views(["ann", "bob"], [{}, {}]), OFFERS, rows, **columns)
    return _stated(AcceptedBefore(Chunks((part,)), most))


def _stated(examples: AcceptedBefore) -> list[list[str] | None]:
    return [
        part.customers.features[view].get("accepted_before")
        for part in examples.chunks()
        for view in part.customer.tolist()
    ]


def test_own_and_later_acceptances_never_count() -> None:
    assert bags([(0, 0, 1), (0, 1, 1), (0, 0, 1)]) == [None, ["a"], ["a", "b"]]


def test_order_in_the_file_does_not_matter() -> None:
    later_first = np.array([3_000, 2_000, 1_000])
    assert bags([(0, 0, 1), (0, 1, 1), (0, 0, 1)], request_time_ms=later_first) == [["a", "b"], ["a"], None]


def test_acceptances_count_once_they_are_known() -> None:
    times: dict[str, Any] = {"request_time_ms": np.array([10, 20, 40]), "label_time_ms": np.array([30, 20, 40])}
    assert bags([(0, 0, 1), (0, 1, 1), (0, 0, 1)], **times) == [None, None, ["b", "a"]]


def test_labels_dated_before_their_request_wait() -> None:
    assert bags([(0, 0, 1), (0, 1, 1)], label_time_ms=np.array([1, 1])) == [None, ["a"]]


def test_requests_of_one_moment_see_nothing() -> None:
    assert bags([(0, 0, 1), (0, 1, 1)], request_time_ms=np.array([7, 7])) == [None, None]


def test_refused_and_others_offers_never_count() -> None:
    assert bags([(0, 0, 0), (1, 1, 1), (0, 0, 1), (1, 0, 1)]) == [None, None, None, ["b"]]
    assert bags([(1, 0, 1), (0, 1, 0)]) == [None, None]  # later than all that was accepted by the other


def test_repeats_stay_and_the_latest_are_kept() -> None:
    assert bags([(0, 0, 1), (0, 1, 1), (0, 1, 1), (0, 0, 1)], most=2)[-1] == ["b", "b"]


def test_what_a_label_states_stays() -> None:
    customers = Views(["ann", "ann"], [{}, {"accepted_before": ["other"]}])
    examples = AcceptedBefore(Chunks((chunk(customers, OFFERS, [(0, 0, 1), (1, 1, 1), (0, 1, 1)]),)), 10)
    assert _stated(examples) == [None, ["other"], ["a", "b"]]
    assert examples.rows_filled == 1


def test_rows_between_two_acceptances_share_a_view() -> None:
    part = chunk(Views(["ann"], [{"age": 3}]), OFFERS, [(0, 0, 1), (0, 1, 0), (0, 0, 0)])
    (filled,) = AcceptedBefore(Chunks((part,)), 10).chunks()
    assert filled.customers.features == [{"age": 3}, {"age": 3, "accepted_before": ["a"]}]
    assert filled.customer.tolist() == [0, 1, 1]


def test_acceptances_span_chunks_and_earlier_examples() -> None:
    customers = Views(["ann"], [{}])
    seen, first, second = (
        chunk(customers, OFFERS, [(0, offer, 1)], request_time_ms=np.array([time]))
        for time, offer in ((1, 0), (2, 1), (3, 0))
    )
    assert _stated(AcceptedBefore(Chunks((first, second)), 10, Chunks((seen,)))) == [["a"], ["a", "b"]]


def test_facts_state_the_bound_and_are_bounded() -> None:
    stated = [accepted_before_stated({"options": {"accepted_before": most}}) for most in (0, 50, 10**9, -1, "x")]
    assert stated == [0, 50, 200, 0, 0]
    assert accepted_before_stated({}) == accepted_before_stated({"options": None}) == 0
