"""Bodies that never end, or end too soon."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.requests import Request

from stream_scorer.http_door.problems import Problem
from stream_scorer.http_door.reading import read_body

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


def read(receive: Receive, within_s: float) -> bytes | Problem:
    scope = {"type": "http", "method": "POST", "headers": [(b"content-type", b"application/json")]}
    return asyncio.run(read_body(Request(scope, receive), within_s=within_s))  # type: ignore[arg-type, unused-ignore]


def in_turn(*messages: dict[str, Any]) -> Receive:
    left = list(messages)

    async def receive() -> MutableMapping[str, Any]:
        return left.pop(0)

    return receive


async def never() -> MutableMapping[str, Any]:
    await asyncio.Event().wait()
    return {}


def code_of(body: bytes | Problem) -> str:
    assert isinstance(body, Problem)
    return body.code


def test_a_body_comes_in_pieces() -> None:
    pieces = [{"type": "http.request", "body": each, "more_body": each != b"c"} for each in (b"a", b"b", b"c")]
    assert read(in_turn(*pieces), 60) == b"abc"


def test_a_body_that_never_ends_is_refused() -> None:
    assert code_of(read(never, 0.001)) == "body_too_slow"


def test_a_body_cut_short_is_refused() -> None:
    first = {"type": "http.request", "body": b"{", "more_body": True}
    assert code_of(read(in_turn(first, {"type": "http.disconnect"}), 60)) == "body_cut_short"


def test_a_body_of_unstated_length_is_bounded() -> None:
    piece = {"type": "http.request", "body": b"x" * 600_000, "more_body": True}
    assert code_of(read(in_turn(piece, piece), 60)) == "record_too_large"


def test_a_large_stated_length_is_refused() -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"1000001")]
    scope = {"type": "http", "method": "POST", "headers": headers}
    assert code_of(asyncio.run(read_body(Request(scope, never), within_s=60))) == "record_too_large"
