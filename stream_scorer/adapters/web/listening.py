"""A server for an application on an address; it listens only once it is run."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from stream_scorer.errors import UsageError


@contextmanager
def bound(address: str, port: int, setting: str) -> Iterator[socket.socket]:
    """Yield a socket that does not listen yet: nobody waits in its queue while the brokers are away.

    Raises UsageError, with the setting's name, for an address or a port that cannot be used.
    """
    try:
        family, _, _, _, place = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise _unusable(address, port, setting, error) from None
    with listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # what a predecessor closed may still linger
        try:
            listener.bind(place)
        except OSError as error:
            raise _unusable(address, port, setting, error) from None
        yield listener


def _unusable(address: str, port: int, setting: str, error: OSError) -> UsageError:
    return UsageError(f"{setting} {port} on {address} cannot be used: {error.strerror}")


def server_of(app: Any, *, drain_s: int) -> uvicorn.Server:
    """Return a server for an ASGI application; what is in flight when it stops has `drain_s` to end."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            http="h11",
            ws="none",
            lifespan="off",
            loop="asyncio",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=drain_s,
        )
    )
