"""The paths of the door, and what becomes of what arrives there."""

from collections.abc import Awaitable, Mapping
from http import HTTPStatus

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from stream_scorer.client import Acceptance, AsyncClient, CustomerRequest
from stream_scorer.core.wire.codec import encode, encode_without_absent
from stream_scorer.errors import StreamScorerError
from stream_scorer.http_door.openapi import ACCEPTING, RANKING, description_of
from stream_scorer.http_door.problems import Problem, answer, problem_of
from stream_scorer.http_door.reading import ID_OF, Incoming, read_body, read_message
from stream_scorer.ports import Clock

RANK, ACCEPT, OPENAPI = "/rank", "/accept", "/openapi.json"
PATHS = (RANK, ACCEPT, OPENAPI)
_JSON = "application/json"


def door_app(client: AsyncClient, *, clock: Clock, timeout_s: float) -> FastAPI:
    """Return the application: `POST /rank`, `POST /accept`, and their description at `/openapi.json`.

    A body may take `timeout_s` to come; how long a ranking may take is the client's affair.
    """

    async def given(http: Request, kind: type[Incoming]) -> Incoming | Problem:
        body = await read_body(http, within_s=timeout_s)
        return body if isinstance(body, Problem) else read_message(body, kind, now_ms=clock.now_ms())

    async def rank(http: Request) -> Response:
        request = await given(http, CustomerRequest)
        if isinstance(request, Problem):
            return answer(request)
        return await _tried(_ranked(client, request), {ID_OF[CustomerRequest]: request.request_id})

    async def accept(http: Request) -> Response:
        acceptance = await given(http, Acceptance)
        if isinstance(acceptance, Problem):
            return answer(acceptance)
        return await _tried(_accepted(client, acceptance), {ID_OF[Acceptance]: acceptance.acceptance_id})

    # FastAPI's own pages load their scripts from elsewhere, and its description has messages of its own making
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.add_api_route(RANK, rank, methods=["POST"], response_model=None, **RANKING)
    app.add_api_route(ACCEPT, accept, methods=["POST"], response_model=None, **ACCEPTING)
    description = description_of(app.routes)

    async def openapi(http: Request) -> Response:
        return Response(description, media_type=_JSON)

    app.add_api_route(OPENAPI, openapi, methods=["GET"], response_model=None)
    app.add_exception_handler(HTTPException, _not_here)
    app.add_exception_handler(Exception, _own_mistake)
    return app


async def _ranked(client: AsyncClient, request: CustomerRequest) -> Response:
    return Response(encode_without_absent(await client.rank(request)), HTTPStatus.OK, media_type=_JSON)


async def _accepted(client: AsyncClient, acceptance: Acceptance) -> Response:
    await client.send(acceptance)
    return Response(encode(acceptance), HTTPStatus.ACCEPTED, media_type=_JSON)


async def _tried(work: Awaitable[Response], ids: Mapping[str, str]) -> Response:
    try:
        return await work
    except StreamScorerError as error:
        return answer(problem_of(error, ids))


async def _not_here(http: Request, error: Exception) -> Response:
    known = f"POST {RANK}, POST {ACCEPT} and GET {OPENAPI}"
    if isinstance(error, HTTPException) and error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        detail = f"there is no {http.method:.20} {http.url.path}; there are {known}"
        return answer(Problem(HTTPStatus.METHOD_NOT_ALLOWED, "no_such_method", detail), error.headers or {})
    detail = f"no path {http.url.path!r:.100}; there are {known}"
    return answer(Problem(HTTPStatus.NOT_FOUND, "no_such_path", detail))


async def _own_mistake(http: Request, error: Exception) -> Response:
    """Answer; the server logs the error, which nobody else catches."""
    detail = "a fault of the server, which its log names"
    return answer(Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal_fault", detail))
