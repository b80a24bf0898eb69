"""Calls to a catalog, bounded."""

from threading import Event

import pytest
from pyiceberg.exceptions import ForbiddenError, ServerError

from stream_scorer.adapters.iceberg.reaching import within
from stream_scorer.errors import StreamScorerError, TransientError, UsageError


def test_an_endless_call_is_given_up() -> None:
    with pytest.raises(TransientError, match=r"reading: no answer within 0\.01 s"):
        within(0.01, "reading", Event().wait)


@pytest.mark.parametrize(
    ("raised", "ours"),
    [
        (ForbiddenError("no"), UsageError),
        (ValueError("what"), UsageError),
        (ServerError("ill"), TransientError),
        (ConnectionError("cut"), TransientError),
        (TimeoutError("late"), TransientError),
    ],
    ids=lambda each: getattr(each, "__name__", type(each).__name__),
)
def test_errors_of_clients_become_ours(raised: Exception, ours: type[StreamScorerError]) -> None:
    def call() -> None:
        raise raised

    with pytest.raises(ours, match=f"writing: {raised}"):
        within(60, "writing", call)
