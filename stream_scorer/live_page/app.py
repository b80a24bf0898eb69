"""The paths of the live page; every answer is made on the server, and nothing in it leads elsewhere."""

from collections.abc import Callable, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar

from fastapi import FastAPI
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from stream_scorer.core.messages import ID_CHARS_MAX
from stream_scorer.errors import StreamScorerError
from stream_scorer.live_page import charts, texts
from stream_scorer.live_page.shown import Shown, cause_and_cure, plain_feature
from stream_scorer.ports import Clock
from stream_scorer.services.watching.board import Board
from stream_scorer.services.watching.headline import headline
from stream_scorer.services.watching.watched import Panel, Watched

FiguresT = TypeVar("FiguresT")

PAGES = {
    "/": "Ring",
    "/labels": "Labels",
    "/releases": "Releases",
    "/letters": "Dead letters",
    "/customer": "Customer",
    "/offers": "Offers",
}
STATIC = {"page.css": "text/css", "page.js": "text/javascript", "icon.svg": "image/svg+xml"}
LOOPBACK = ("localhost", "127.0.0.1", "::1", "[::1]")
FIRST_READ_S = 2.0
_TEXT_CHARS_MAX = 100
_HERE = Path(__file__).parent
HEADERS = {
    # nothing is fetched from elsewhere, and no script or style stands in the page itself
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def page_app(
    board: Board, shown: Shown, *, clock: Clock, hosts: Sequence[str] = (), first_read_s: float = FIRST_READ_S
) -> FastAPI:
    """Return the application. Requests by other names than `hosts` and the loopback's are refused.

    Without that, a page elsewhere that gives its own name our address could read this one in a visitor's browser.
    Parts that were never read are waited for `first_read_s` in all.
    """
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    render = _renderer(shown, clock)

    def read(*watched: Watched[Any]) -> list[Panel[Any]]:
        for each in watched:
            each.ask()
        until_s = clock.monotonic_s() + first_read_s
        return [each.panel(wait_s=max(0.0, until_s - clock.monotonic_s())) for each in watched]

    def ring(http: Request) -> Response:
        examined, now, rankings, *times = read(board.examined, board.ring, board.rankings, *board.workers.values())
        workers = dict(zip(board.workers, times, strict=True))
        head = headline(examined, now, clock.now_ms())
        return render("/", "ring.html", head=head, examined=examined, ring=now, rankings=rankings, workers=workers)

    def labels(http: Request) -> Response:
        (now,) = read(board.labels)
        return render("/labels", "labels.html", labels=now)

    def releases(http: Request) -> Response:
        stored, rankings = read(board.releases, board.rankings)
        return render("/releases", "releases.html", releases=stored, rankings=rankings)

    def letters(http: Request) -> Response:
        (now,) = read(board.letters)
        return render("/letters", "letters.html", letters=now)

    def customer(http: Request) -> Response:
        wanted = http.query_params.get("id", "").strip()[:ID_CHARS_MAX]
        found = _answered(board.customer, wanted, clock)
        return render("/customer", "customer.html", wanted=wanted, found=found)

    def offers(http: Request) -> Response:
        wanted = http.query_params.get("text", "").strip()[:_TEXT_CHARS_MAX]
        found = _answered(board.offers, wanted, clock)
        return render("/offers", "offers.html", wanted=wanted, found=found)

    for path, page in zip(PAGES, (ring, labels, releases, letters, customer, offers), strict=True):
        app.add_api_route(path, page, methods=["GET", "HEAD"], response_model=None)
    app.add_api_route("/static/{name}", _static, methods=["GET", "HEAD"], response_model=None)
    app.add_exception_handler(HTTPException, lambda http, error: render_error(render, error))
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[*LOOPBACK, *hosts], www_redirect=False)
    app.add_middleware(BaseHTTPMiddleware, dispatch=_with_headers)  # around it: its refusals have the headers, too
    return app


def _answered(ask: Callable[[str], FiguresT], wanted: str, clock: Clock) -> Panel[FiguresT]:
    """Answer a question; an empty one is not asked."""
    if not wanted:
        return Panel()
    try:
        return Panel(ask(wanted), clock.now_ms())
    except StreamScorerError as error:
        return Panel(None, clock.now_ms(), str(error))


def _renderer(shown: Shown, clock: Clock) -> Callable[..., Response]:
    # StrictUndefined makes a misspelt name in a template an error, where jinja2 would print nothing
    pages = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters |= {
        "count": texts.count,
        "rate": texts.rate,
        "share": texts.share,
        "duration": texts.duration,
        "signed": texts.signed,
        "time_at": texts.time_at,
        "plain": plain_feature,
        "known": cause_and_cure,
    }
    pages.globals |= {"pages": PAGES, "shown": shown, "charts": charts}

    def render(path: str, template: str, *, status: int = HTTPStatus.OK, **figures: Any) -> Response:
        text = pages.get_template(template).render(path=path, now_ms=clock.now_ms(), **figures)
        return HTMLResponse(text, status)

    return render


def render_error(render: Callable[..., Response], error: Exception) -> Response:
    """Return the page for a path that is not here, or a method that it does not have."""
    status = error.status_code if isinstance(error, HTTPException) else HTTPStatus.INTERNAL_SERVER_ERROR
    return render("", "missing.html", status=status, says=HTTPStatus(status).phrase)


def _static(name: str) -> Response:
    if name not in STATIC:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    return Response((_HERE / "static" / name).read_bytes(), media_type=STATIC[name])


async def _with_headers(http: Request, call_next: RequestResponseEndpoint) -> Response:
    answer = await call_next(http)
    answer.headers.update(HEADERS)
    return answer
