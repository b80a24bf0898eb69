"""What errors of the client mean over HTTP."""

import pytest

from stream_scorer.errors import (
    AwaitedAlready,
    BadMessage,
    NoRanking,
    NotReady,
    RequestRefused,
    StreamScorerError,
    TransientError,
    UsageError,
)
from stream_scorer.http_door.problems import Problem, problem_of


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (RequestRefused("feature_kind", "why"), 422, "feature_kind"),
        (BadMessage("Acceptance", "why", "missing_field"), 422, "missing_field"),
        (BadMessage("CustomerRequest", "why", "record_too_large"), 413, "record_too_large"),
        (AwaitedAlready("why"), 409, "awaited_already"),
        (UsageError("why"), 422, "refused"),
        (NoRanking("why"), 504, "no_ranking"),
        (NotReady("why"), 503, "not_ready"),
        (TransientError("why"), 503, "unavailable"),
    ],
)
def test_each_error_has_status_and_code(error: StreamScorerError, status: int, code: str) -> None:
    problem = problem_of(error, {"request_id": "q"})
    assert (problem.status, problem.code) == (status, code)
    assert problem.detail.startswith("why")
    assert problem.ids == {"request_id": "q"}


def test_a_refusal_reads_as_its_letter() -> None:
    error = RequestRefused("feature_kind", "feature 'likes' must be a string")
    assert problem_of(error, {}) == Problem(422, "feature_kind", "feature 'likes' must be a string")
