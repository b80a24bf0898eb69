"""Bodies of HTTP requests to messages, bounded in bytes and time, read as strictly as records of a topic."""

import asyncio
import uuid
from http import HTTPStatus
from typing import TypeVar

from starlette.requests import ClientDisconnect, Request

from stream_scorer.core.messages import RECORD_BYTES_MAX, Acceptance, CustomerRequest
from stream_scorer.core.wire.strict_json import Refusal, loads_strict
from stream_scorer.errors import UsageError
from stream_scorer.http_door.problems import Problem, problem_of, unreadable
from stream_scorer.services.operating.given_messages import checked

Incoming = TypeVar("Incoming", CustomerRequest, Acceptance)

# made here where a message leaves them out
ID_OF: dict[type[CustomerRequest] | type[Acceptance], str] = {
    CustomerRequest: "request_id",
    Acceptance: "acceptance_id",
}
TIME = "event_time_ms"
_JSON = "application/json"


async def read_body(request: Request, *, within_s: float) -> bytes | Problem:
    """Return the body, of which no more is kept than a record may have."""
    kind = request.headers.get("content-type", "")
    # A page in a browser can send any site a form or plain text, but JSON only where the site allows it, and we do not.
    if kind.partition(";")[0].strip().lower() != _JSON:
        detail = f"the content type must be {_JSON}, got {kind[:100]!r}"
        return Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "not_json_content", detail)
    stated = request.headers.get("content-length", "0")
    if int(stated) > RECORD_BYTES_MAX:  # the server has refused what is no number
        return _too_large(f"{stated}")
    try:
        async with asyncio.timeout(within_s):
            return await _bounded(request)
    except TimeoutError:
        detail = f"the body did not come within {within_s:g} s"
        return Problem(HTTPStatus.REQUEST_TIMEOUT, "body_too_slow", detail)
    except ClientDisconnect:
        return Problem(HTTPStatus.BAD_REQUEST, "body_cut_short", "the connection was closed before the body's end")


async def _bounded(request: Request) -> bytes | Problem:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > RECORD_BYTES_MAX:
            return _too_large("more")
    return bytes(body)


def _too_large(size: str) -> Problem:
    return unreadable(Refusal("record_too_large", f"the value must be at most {RECORD_BYTES_MAX} bytes, got {size}"))


def read_message(body: bytes, kind: type[Incoming], *, now_ms: int) -> Incoming | Problem:
    """Return the message in a body; its id and its time are made where they are left out."""
    parsed = loads_strict(body)
    if isinstance(parsed, Refusal):
        return unreadable(parsed)
    fields = {ID_OF[kind]: uuid.uuid4().hex, TIME: now_ms, **parsed}
    try:
        return checked(fields, kind)[0]
    except UsageError as error:
        return problem_of(error, {})
