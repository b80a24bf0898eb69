"""Why an answer counts nowhere, with known answers at each comparison."""

from collections.abc import Iterator

import pytest

from stream_scorer.core.joining.known_requests import OpenRequest
from stream_scorer.core.joining.labelling import Horizons
from stream_scorer.core.joining.reasons import why_unanswerable
from stream_scorer.core.messages import Acceptance

HORIZONS = Horizons(window_ms=100, late_ms=80, disorder_ms=40, back_ms=20, tick_ms=1, skew_ms=30, idle_slack_ms=5)
ASKED_MS = 1_000
# so long after a request it is still remembered when the answer is settled
REMEMBERED_MS = HORIZONS.remember_ms - HORIZONS.settle_ms


def reason(after_ms: int, *customers: str, stated_ms: int | None = None) -> str:
    """Return the code for customer c's answer, so long after requests of its id by these customers."""
    answer = Acceptance("a", "r", "c", "o", True, ASKED_MS + after_ms, stated_ms)
    namesakes = {customer: OpenRequest("r", customer, ASKED_MS, 0) for customer in customers}
    return why_unanswerable(answer, namesakes.get("c"), namesakes.values(), HORIZONS).code


@pytest.mark.parametrize(("after_ms", "code"), [(180, "unknown_request"), (181, "outcome_too_late")])
def test_an_answer_beyond_lateness_is_too_late(after_ms: int, code: str) -> None:
    assert reason(after_ms, "c") == code
    assert reason(after_ms, stated_ms=ASKED_MS) == code


@pytest.mark.parametrize(("beyond_ms", "known"), [(-1, True), (0, True), (1, False)])
def test_a_request_counts_while_it_is_remembered(beyond_ms: int, known: bool) -> None:
    after_ms = REMEMBERED_MS + beyond_ms
    assert reason(after_ms, "c") == ("outcome_too_late" if known else "unknown_request")
    assert reason(after_ms, "d") == ("another_customer" if known else "unknown_request")


def test_an_unknown_request_is_just_unknown() -> None:
    assert reason(0) == "unknown_request"


def test_many_namesakes_are_not_all_walked() -> None:
    walked = []

    def namesakes() -> Iterator[OpenRequest]:
        for number in range(10_000):
            walked.append(number)
            yield OpenRequest("r", f"other {number}", ASKED_MS, 0)

    answer = Acceptance("a", "r", "c", "o", True, ASKED_MS, None)
    assert why_unanswerable(answer, None, namesakes(), HORIZONS).code == "another_customer"
    assert len(walked) == 1
