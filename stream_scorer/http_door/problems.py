"""Answers that say what is wrong, as RFC 9457 lays them out, with our codes beside the status."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

import msgspec
from starlette.responses import Response

from stream_scorer.core.wire.strict_json import Refusal
from stream_scorer.errors import (
    AwaitedAlready,
    BadMessage,
    NoRanking,
    NotDelivered,
    NotReady,
    RequestRefused,
    StreamScorerError,
    UsageError,
)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 1  # a place is free again, and a broker elected, within about as long
_TOO_LARGE = "record_too_large"
_NO_HEADERS: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a request got no ranking, or an acceptance was not taken: `code` is for programs, `detail` for people.

    `ids` are those of the message, the ones that were made here included: who sends it again sends them along.
    """

    status: int
    code: str
    detail: str
    ids: Mapping[str, str] = field(default_factory=dict)


_MEANT = (  # the first that fits: the kinds of an error stand before those that they are kinds of
    (AwaitedAlready, HTTPStatus.CONFLICT, "awaited_already"),
    (UsageError, HTTPStatus.UNPROCESSABLE_ENTITY, "refused"),
    (NoRanking, HTTPStatus.GATEWAY_TIMEOUT, "no_ranking"),
    (NotDelivered, HTTPStatus.SERVICE_UNAVAILABLE, "not_delivered"),
    (NotReady, HTTPStatus.SERVICE_UNAVAILABLE, "not_ready"),
    (StreamScorerError, HTTPStatus.SERVICE_UNAVAILABLE, "unavailable"),
)
_NEXT = {
    "no_ranking": "; it may still be answered: send it again with the same ids, or read the topic of rankings",
    "not_delivered": "; it may have arrived: send it again with the same ids, which count once",
}


def problem_of(error: StreamScorerError, ids: Mapping[str, str]) -> Problem:
    """Return what an error of the client means for who asks."""
    if isinstance(error, RequestRefused):
        return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, error.code, str(error.args[1]), ids)
    if isinstance(error, BadMessage):
        status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE if error.code == _TOO_LARGE else HTTPStatus.UNPROCESSABLE_ENTITY
        return Problem(status, error.code, error.reason, ids)
    status, code = next((status, code) for kind, status, code in _MEANT if isinstance(error, kind))
    return Problem(status, code, f"{error}{_NEXT.get(code, '')}", ids)


def unreadable(refusal: Refusal) -> Problem:
    """Return what it means that a body is no JSON that a message could be read from."""
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE if refusal.code == _TOO_LARGE else HTTPStatus.BAD_REQUEST
    return Problem(status, refusal.code, refusal.message)


def answer(problem: Problem, headers: Mapping[str, str] = _NO_HEADERS) -> Response:
    """Return a problem as a response; one that may pass says when to try again."""
    status = HTTPStatus(problem.status)
    body = {"title": status.phrase, "status": status.value, "code": problem.code, "detail": problem.detail}
    passing = status == HTTPStatus.SERVICE_UNAVAILABLE
    when = {"Retry-After": str(RETRY_AFTER_S)} if passing else {}
    return Response(msgspec.json.encode(body | dict(problem.ids)), status, {**headers, **when}, MEDIA_TYPE)
