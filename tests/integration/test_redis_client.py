"""Servers that are away, odd or silent: found in time, and as trouble that may pass."""

import socket
import time
from collections.abc import Iterator
from threading import Thread

import pytest

from stream_scorer.adapters.redis.client import at_the_edge, connect
from stream_scorer.errors import TransientError

IN_TIME_S = 5.0  # many times the time-out, for machines that are busy; without one it would be for ever


def serve(answer: bytes | None) -> Iterator[str]:
    """Accept connections and answer everything with the same bytes, or never."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    connection = server.accept()[0]
                except OSError:
                    return
                if answer is not None:
                    connection.recv(65_536)
                    connection.sendall(answer)
                kept.append(connection)

        kept: list[socket.socket] = []
        Thread(target=accept, daemon=True).start()
        yield f"redis://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        for connection in kept:
            connection.close()


@pytest.fixture(params=[None, b"HTTP/1.1 400 Bad Request\r\n\r\n", b""], ids=["silent", "no redis", "hangs up"])
def odd_server(request: pytest.FixtureRequest) -> Iterator[str]:
    yield from serve(request.param)


@at_the_edge
def ping(url: str) -> None:
    client = connect(url, timeout_s=0.2)
    try:
        client.ping()
    finally:
        client.close()


def test_a_server_unlike_redis_is_passing_trouble(
    odd_server: str,
) -> None:
    started_s = time.monotonic()
    with pytest.raises(TransientError):
        ping(odd_server)
    assert time.monotonic() - started_s < IN_TIME_S


def test_a_closed_port_is_found_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    started_s = time.monotonic()
    with pytest.raises(TransientError):
        ping(f"redis://127.0.0.1:{port}")
    assert time.monotonic() - started_s < IN_TIME_S
