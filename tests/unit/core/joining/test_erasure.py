"""Customers who are erased, with known answers at each comparison."""

import msgspec
import pytest

from stream_scorer.core.joining.erasure import ErasedCustomers, sort_out
from stream_scorer.core.messages import Erasure
from stream_scorer.core.records import DeadLetter, Record


def erased(*times_ms: int) -> ErasedCustomers:
    customers = ErasedCustomers()
    for time_ms in times_ms:
        customers.note(Erasure("c", time_ms))
    return customers


@pytest.mark.parametrize(("requested_ms", "covered"), [(99, True), (100, True), (101, False)])
def test_an_erasure_covers_until_its_time(requested_ms: int, covered: bool) -> None:
    assert erased(100).cover("c", requested_ms) == covered
    assert not erased(100).cover("d", requested_ms)


@pytest.mark.parametrize("times_ms", [(100, 50), (50, 100)])
def test_the_latest_erasure_counts_in_any_order(times_ms: tuple[int, int]) -> None:
    assert erased(*times_ms).cover("c", 100)


@pytest.mark.parametrize(("passed_ms", "kept"), [(99, True), (100, True), (101, False)])
def test_an_erasure_is_forgotten_once_passed(passed_ms: int, kept: bool) -> None:
    customers = erased(100)
    customers.forget(passed_ms)
    assert bool(customers) == kept


def test_erasures_are_told_from_dead_letters() -> None:
    values = [{"customer_id": "c", "erased_to_ms": 5}, {"customer_id": "c"}]
    letters = [
        DeadLetter(Record("outcomes", 0, offset, b"c", msgspec.json.encode(value), 0), "missing_field", "")
        for offset, value in enumerate(values)
    ]
    dead, erasures = sort_out(letters)
    assert [letter.record.offset for letter in dead] == [1]
    assert [erasure for _, erasure in erasures] == [Erasure("c", 5)]
